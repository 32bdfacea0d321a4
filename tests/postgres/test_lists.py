"""The tests of tests/http/test_lists.py, on PostgreSQL."""

from tests.http.test_lists import *  # noqa: F403
