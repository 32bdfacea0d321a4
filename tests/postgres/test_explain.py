"""The tests of tests/http/test_explain.py, on PostgreSQL."""

from tests.http.test_explain import *  # noqa: F403
