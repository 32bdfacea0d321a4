"""The tests of tests/http/test_streams.py, on PostgreSQL."""

from tests.http.test_streams import *  # noqa: F403
