"""The tests of tests/http/test_cancel.py, on PostgreSQL."""

from tests.http.test_cancel import *  # noqa: F403
