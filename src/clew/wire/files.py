"""Files as clients see them. Source: OpenAI's published API schema (``OpenAIFile``), azure-ai-agents."""

from typing import Literal

from msgspec import Struct

from clew.core.files import File


class FileObject(Struct, frozen=True, kw_only=True):
    """A file. It is ``processed`` at once: Azure's client polls for ever while it is ``uploaded``."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None = None
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"
    status_details: str | None = None


def file_object(record: File) -> FileObject:
    """Return a file as clients see it."""
    return FileObject(
        id=record.id,
        bytes=record.bytes,
        created_at=record.created_at // 1000,
        filename=record.filename,
        purpose=record.purpose,
    )
