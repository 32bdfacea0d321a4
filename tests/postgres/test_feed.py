"""The tests of tests/http/test_feed.py, on PostgreSQL."""

from tests.http.test_feed import *  # noqa: F403
