"""The tests of tests/http/test_tools.py, on PostgreSQL."""

from tests.http.test_tools import *  # noqa: F403
