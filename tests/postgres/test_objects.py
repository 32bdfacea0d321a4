"""The tests of tests/http/test_objects.py, on PostgreSQL."""

from tests.http.test_objects import *  # noqa: F403
