"""Vectors that embedders give, read."""

from typing import Any

import numpy as np


def floats(vector: bytes) -> "np.ndarray[Any, Any]":
    """Return a vector's values."""
    return np.frombuffer(vector, "<f2").astype(np.float64)


def likeness(one: bytes, other: bytes) -> float:
    """Return the cosine of two vectors of length 1."""
    return float(floats(one) @ floats(other))
