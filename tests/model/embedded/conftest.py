"""Real weights, from a cache that all sessions share."""

import os
from pathlib import Path

import pytest

from clew.model.embedded import WeightsError, pull
from clew.model.embedded.machine import obstacle


def _cache() -> Path:
    return Path(os.environ.get("CLEW_TEST_CACHE") or Path.home() / ".cache" / "clew-test")


def _real(name: str) -> Path:
    """The cache directory, with these weights in it."""
    trouble = obstacle()
    if trouble is not None:
        pytest.skip(trouble)
    try:
        pull(name, _cache())
    except WeightsError as error:
        pytest.skip(f"no weights: {error}")
    return _cache()


@pytest.fixture(scope="session")
def smol() -> Path:
    """A data directory with smollm2-135m."""
    return _real("smollm2-135m")


@pytest.fixture(scope="session")
def coder() -> Path:
    """A data directory with qwen2.5-coder-0.5b."""
    return _real("qwen2.5-coder-0.5b")
