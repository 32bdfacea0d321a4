"""The tests of tests/http/test_messages.py, on PostgreSQL."""

from tests.http.test_messages import *  # noqa: F403
