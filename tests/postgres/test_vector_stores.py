"""The tests of tests/http/test_vector_stores.py, on PostgreSQL."""

from tests.http.test_vector_stores import *  # noqa: F403
