"""The tests of tests/http/test_limits.py, on PostgreSQL."""

from tests.http.test_limits import *  # noqa: F403
