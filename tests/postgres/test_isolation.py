"""The tests of tests/http/test_isolation.py, on PostgreSQL."""

from tests.http.test_isolation import *  # noqa: F403
