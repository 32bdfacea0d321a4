"""Real weights, from a cache that all test runs share."""

import os
from pathlib import Path

import pytest

from clew.model.embedded import WeightsError, pull
from clew.search import minilm
from clew.weights.machine import obstacle


def weights_cache() -> Path:
    """Return a data directory for weights: CLEW_TEST_CACHE, or one in the user's cache."""
    return Path(os.environ.get("CLEW_TEST_CACHE") or Path.home() / ".cache" / "clew-test")


def real_weights(name: str) -> Path:
    """Return the path of weights, fetched first if need be; skip the test if they can't be had."""
    trouble = obstacle()
    if trouble is not None:
        pytest.skip(trouble)
    try:
        return pull(name, weights_cache()).path
    except WeightsError as error:
        pytest.skip(f"no weights: {error}")


def real_minilm() -> Path:
    """Return a data directory with the embedder's weights, made first if need be; or skip the test."""
    trouble = obstacle()
    if trouble is not None:
        pytest.skip(trouble)
    try:
        minilm.pull(weights_cache())
    except WeightsError as error:
        pytest.skip(f"no weights: {error}")
    return weights_cache()
