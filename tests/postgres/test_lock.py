"""The tests of tests/http/test_lock.py, on PostgreSQL."""

from tests.http.test_lock import *  # noqa: F403
