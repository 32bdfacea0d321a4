"""The tests of tests/http/test_updates.py, on PostgreSQL."""

from tests.http.test_updates import *  # noqa: F403
