"""The tests of tests/http/test_expiry.py, on PostgreSQL."""

from tests.http.test_expiry import *  # noqa: F403
