"""The tests of tests/http/test_budgets.py, on PostgreSQL."""

from tests.http.test_budgets import *  # noqa: F403
