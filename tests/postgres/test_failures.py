"""The tests of tests/http/test_failures.py, on PostgreSQL."""

from tests.http.test_failures import *  # noqa: F403
