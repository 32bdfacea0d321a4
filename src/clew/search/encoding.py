"""Vectors as they are kept: of length 1, as little-endian float16s."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_BYTES = 2


def packed(values: "ArrayLike") -> bytes:
    """Return a vector of length 1 with this direction, two bytes a dimension; a zero vector stays zero.

    Raises:
        ValueError: one of the values is no finite number.
    """
    import numpy as np

    vector: np.ndarray[Any, Any] = np.asarray(values, dtype=np.float64)
    largest = np.abs(vector).max(initial=0.0)
    if not np.isfinite(largest):
        raise ValueError("a vector with a value that is no finite number")
    if largest > 0:
        vector = vector / largest  # squares of what is very large or very small would not be finite or not be
        vector /= np.linalg.norm(vector)
    return (vector.astype("<f2") + 0).tobytes()  # no zero has a sign


def zero(dimensions: int) -> bytes:
    """Return the zero vector."""
    return bytes(_BYTES * dimensions)
