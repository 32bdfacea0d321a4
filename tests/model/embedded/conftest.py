"""Data directories with real weights in them."""

from pathlib import Path

import pytest

from tests.support.weights import real_weights, weights_cache


@pytest.fixture(scope="session")
def smol() -> Path:
    """A data directory with smollm2-135m."""
    real_weights("smollm2-135m")
    return weights_cache()


@pytest.fixture(scope="session")
def coder() -> Path:
    """A data directory with qwen2.5-coder-0.5b."""
    real_weights("qwen2.5-coder-0.5b")
    return weights_cache()
