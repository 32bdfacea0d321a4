"""The tests of tests/http/test_reindexing.py, on PostgreSQL."""

from tests.http.test_reindexing import *  # noqa: F403
