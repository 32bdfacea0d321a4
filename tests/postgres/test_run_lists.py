"""The tests of tests/http/test_run_lists.py, on PostgreSQL."""

from tests.http.test_run_lists import *  # noqa: F403
