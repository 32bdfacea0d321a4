"""The tests of tests/http/test_metrics.py, on PostgreSQL."""

from tests.http.test_metrics import *  # noqa: F403
