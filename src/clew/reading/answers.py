"""What comes of reading a file."""

from typing import Literal, TypeAlias

from msgspec import Struct

Code: TypeAlias = Literal["unsupported_file", "invalid_file", "server_error"]
"""Why a file can't be read, in the words of OpenAI's ``last_error`` of a vector store's file."""


class Section(Struct, frozen=True):
    """A piece of a file's text: a page, a slide, a sheet, a chapter, or all of it."""

    text: str
    page: int | None = None
    """The page of a PDF or the slide of a presentation, from 1; None where there are none."""


class Image(Struct, frozen=True):
    """A picture that was decoded and encoded anew."""

    data: bytes
    media_type: str
    """``image/jpeg``, or ``image/png`` where there is transparency."""
    width: int
    """In pixels, as ``height`` is."""
    height: int


class CannotRead(Exception):
    """A file can't be read; ``message`` is a sentence for whoever uploaded it."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message
