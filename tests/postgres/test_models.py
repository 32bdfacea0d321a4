"""The tests of tests/http/test_models.py, on PostgreSQL."""

from tests.http.test_models import *  # noqa: F403
