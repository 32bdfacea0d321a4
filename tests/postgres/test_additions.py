"""The tests of tests/http/test_additions.py, on PostgreSQL."""

from tests.http.test_additions import *  # noqa: F403
