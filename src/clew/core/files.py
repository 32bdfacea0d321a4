"""Files: what people upload, and what runs make. Source: OpenAI's published API schema (``OpenAIFile``)."""

from typing import Literal, TypeAlias, get_args

from msgspec import Struct

Purpose: TypeAlias = Literal["assistants", "vision", "user_data", "batch", "fine-tune", "evals"]
"""What somebody may upload a file for."""

UPLOADED_FOR = get_args(Purpose)

MOST_BYTES = 512 * 1024 * 1024
"""Bytes of one file."""

LONGEST_NAME = 512
"""Characters of a file's name."""


class File(Struct, frozen=True, kw_only=True):
    """A file. Its name is what its owner calls it, and never a path; its bytes are a blob of its own.

    Attributes:
        bytes: how many it has.
        sha256: of its bytes, in hexadecimal.
        blob: the key under which they are kept.
    """

    id: str
    project: str
    created_at: int
    filename: str
    purpose: str
    bytes: int
    sha256: str
    blob: str
