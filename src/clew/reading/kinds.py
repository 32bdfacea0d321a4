"""Which files are read, told by their names and their first bytes. Pure, and free of imports.

The extensions are those of OpenAI's file_search, and some more that are text as well.
"""

_TEXT = (
    "adoc bat c cc cfg conf cpp cs css csv cxx diff go h hpp ini java js json jsonl jsx kt less log lua m "
    "markdown md mjs org patch php pl ps1 py r rb rs rst scala scss sh sql srt swift tex toml ts tsv tsx txt "
    "vtt xml yaml yml"
)

SUPPORTED: dict[str, str] = {
    **{f".{extension}": "text" for extension in _TEXT.split()},
    ".htm": "html",
    ".html": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".docx": "docx",
    ".pptx": "pptx",
    ".xlsx": "xlsx",
    ".epub": "epub",
}
"""The reader's kind by extension, which is in lower case and begins with its dot."""

OLDER: dict[str, str] = {".doc": ".docx", ".ppt": ".pptx", ".xls": ".xlsx"}
"""Extensions that nothing reads, and the newer ones of what the same programs save."""

ZIPPED = frozenset({"docx", "pptx", "xlsx", "epub"})
"""Kinds whose files are zip archives."""

_LONGEST_HEAD = 1024  # PDF readers look for the mark in the first 1024 bytes: ISO 32000-1, annex H.3.4.1

_MAGIC = (
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office file that is encrypted or older than .docx"),
    (b"\x7fELF", "a program"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"SQLite format 3\x00", "a database"),
)


def extension_of(filename: str) -> str:
    """Return a file name's extension in lower case, with its dot, or an empty text."""
    name = filename.replace("\\", "/").rpartition("/")[2]
    stem, dot, last = name.rpartition(".")
    return f".{last.lower()}" if dot and stem else ""


def type_of(filename: str) -> str | None:
    """Return the reader's kind for a file's name, or None where :data:`SUPPORTED` has none."""
    return SUPPORTED.get(extension_of(filename))


def image_type(first_bytes: bytes) -> str | None:
    """Return the media type of an image by its first 12 bytes or more: JPEG, PNG, GIF or WebP; else None."""
    if first_bytes.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if first_bytes.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if first_bytes.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if first_bytes.startswith(b"RIFF") and first_bytes[8:12] == b"WEBP":
        return "image/webp"
    return None


def contradiction(kind: str, head: bytes) -> str | None:
    """Return what a file's first 1024 bytes show it to be, or None where that agrees with ``kind``."""
    found = next((what for magic, what in _MAGIC if head.startswith(magic)), None)
    if kind == "pdf":
        return None if b"%PDF-" in head[:_LONGEST_HEAD] else found or "no PDF"
    if kind in ZIPPED:
        return None if found == "a zip archive" else found or "no zip archive, as such files are"
    return found or (f"of type {image}" if (image := image_type(head)) else None)
