"""What search knows of whatever turns texts into vectors."""

from collections.abc import Sequence
from typing import Protocol


class Unembeddable(Exception):
    """Texts could not be turned into vectors.

    Attributes:
        message: what went wrong and what to do, for users and operators; without secrets.
        again: whether the same may work later.
    """

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.message, self.again = message, again


class Embedder(Protocol):
    """Turns texts into vectors; texts that mean alike get vectors that point alike.

    Attributes:
        name: kept with vectors: those of another name can't be compared with them.
        window_tokens: how much of a text it sees, in its own tokens.
    """

    @property
    def name(self) -> str: ...

    @property
    def window_tokens(self) -> int: ...

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """Return a vector for each text, in their order.

        Each is of length 1, as float16s, little-endian (numpy's ``<f2``), and all have as many dimensions. A
        text without any word gets the zero vector, which is like no other. A text that is too long is cut.

        Raises:
            Unembeddable: it can't be done, or not now.
        """
        ...

    async def close(self) -> None:
        """End what it keeps open; texts under way fail."""
        ...
