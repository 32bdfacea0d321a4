"""Plain text: programs, tables of values, markup that is read as it is."""

import codecs
from typing import BinaryIO

from clew.reading.formats.out import MOST_CHARACTERS, Out, Refused

# No character takes more bytes in any of the encodings; so what is longer is too long, whatever it says.
_MOST_BYTES = 4 * MOST_CHARACTERS
_LOOKED_AT = 4096
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as UTF-16's mark does, so it stands before that
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read(file: BinaryIO, out: Out) -> None:
    """Write a text file as one section."""
    text = decoded(bounded(file))
    out.begin()
    step = 1 << 20
    for start in range(0, len(text), step):
        out.write(text[start : start + step])


def bounded(file: BinaryIO) -> bytes:
    """Return all that a file holds.

    Raises:
        Refused: it is longer than any text that is read, 80 MB.
    """
    data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise Refused("invalid_file", f"The file is too long: it has over {MOST_CHARACTERS:,} characters.")
    return data


def decoded(data: bytes) -> str:
    """Return bytes as text: by their byte order mark, as UTF-8, as UTF-16, else as Windows-1252 or Latin-1.

    Windows-1252 is tried before Latin-1 since the two differ where one of them has only control characters,
    and WHATWG's encoding standard reads "latin1" as it too.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    head = data[:_LOOKED_AT]
    if guessed := _utf16(head):
        return data.decode(guessed, "replace")
    for encoding in ("utf-8", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _utf16(head: bytes) -> str | None:
    """Return the UTF-16 that bytes without a mark seem to be in: every other byte of Western text is 0."""
    half = len(head) // 2
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if half < 2:
        return None
    if odd > 0.4 * half and even < 0.05 * half:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 * half and odd < 0.05 * half else None
