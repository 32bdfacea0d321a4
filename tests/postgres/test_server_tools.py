"""The tests of tests/http/test_server_tools.py, on PostgreSQL."""

from tests.http.test_server_tools import *  # noqa: F403
