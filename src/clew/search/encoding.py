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


def as_text(vectors: bytes, dimensions: int) -> list[str | None]:
    """Return vectors as text, ``[0.5,-0.25]``, each of its numbers exact in four bytes; None for one
    of zeros."""
    import numpy as np

    rows = np.frombuffer(vectors, "<u2").reshape(-1, dimensions)
    # Each number was rounded to one of 65,536, so the texts of those that occur are made once.
    kinds, places = np.unique(rows, return_inverse=True)
    texts = np.array([f"{value:.9g}" for value in kinds.view("<f2").tolist()], object)
    named = texts[places.reshape(rows.shape)].tolist()
    alive = np.any(rows & 0x7FFF, axis=1)
    return [f"[{','.join(row)}]" if alive[place] else None for place, row in enumerate(named)]
