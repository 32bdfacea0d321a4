"""The tests of tests/http/test_runs.py, on PostgreSQL."""

from tests.http.test_runs import *  # noqa: F403
