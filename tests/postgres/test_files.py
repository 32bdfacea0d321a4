"""The tests of tests/http/test_files.py, on PostgreSQL."""

from tests.http.test_files import *  # noqa: F403
