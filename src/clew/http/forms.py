"""Uploads: a body of ``multipart/form-data``, parsed as it comes. Source: RFC 7578.

Nothing of it is kept in memory but what was just received: a file's bytes go on to whoever takes them.
"""

import re
from collections.abc import Mapping
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from clew.wire.errors import invalid

_MOST_PARTS = 32
"""Parts of a body: the services' clients send three at most."""

_LONGEST_FIELD = 4 * 1024
"""Bytes of a field that is no file."""

_BOUNDARY = re.compile(r"[ -~]{1,200}")
_ESCAPES = re.compile("%(22|0D|0A)", re.IGNORECASE)
"""What browsers write for these three in a name, and many libraries (WHATWG HTML, 4.10.22.8)."""


class Form(NamedTuple):
    """What came with a file: the fields by name, and the file's own name."""

    fields: Mapping[str, str]
    filename: str | None


def boundary_of(content_type: str) -> bytes:
    """Return what stands between the parts.

    Raises:
        ApiError: the body is something else than a form.
    """
    header = Message()
    header["content-type"] = content_type
    if header.get_content_type() != "multipart/form-data":
        raise invalid(
            "A file is uploaded as multipart/form-data, with the parts 'file' and 'purpose'. "
            f"The content type of your request is '{content_type[:100]}'."
        )
    boundary = header.get_boundary("")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise invalid("The content type of your request names no boundary, or one that can't be.")
    return boundary.encode("latin-1")


class Parts:
    """Takes a body apart."""

    def __init__(self, boundary: bytes) -> None:
        self._fields: dict[str, bytes] = {}
        self._filename: str | None = None
        self._seen_file = self._ended = False
        self._count = 0
        self._name, self._is_file = "", False
        self._header, self._value = b"", b""
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._on_field,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header,
                "on_headers_finished": self._on_headers,
                "on_part_data": self._on_data,
                "on_end": self._end,
            },
        )

    def parse(self, received: bytes) -> list[bytes]:
        """Go on with what was received; return what it holds of the file.

        Raises:
            ApiError: it can't be.
        """
        try:
            self._parser.write(received)
        except FormParserError as error:
            raise invalid(f"The body of your request is no multipart/form-data: {error}") from None
        pieces, self._pieces = self._pieces, []
        return pieces

    def form(self) -> Form:
        """Return what came with the file.

        Raises:
            ApiError: the body broke off, or there was no file.
        """
        if not self._ended:
            raise invalid("The body of your request ends before its last boundary.")
        if not self._seen_file:
            raise invalid(
                "Missing required parameter: 'file'.", param="file", code="missing_required_parameter"
            )
        fields = {name: value.decode("utf-8", "replace") for name, value in self._fields.items()}
        return Form(fields, fields.pop("filename", None) or self._filename)

    def _begin(self) -> None:
        self._count += 1
        if self._count > _MOST_PARTS:
            raise invalid(f"The body of your request has more than {_MOST_PARTS} parts.")
        self._headers = {}

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def _on_headers(self) -> None:
        named = _disposition(self._headers.get(b"content-disposition", b""))
        self._name, self._is_file = named.get("name", ""), named.get("name") == "file"
        if not self._is_file:
            self._fields.setdefault(self._name, b"")
            return
        if self._seen_file:
            raise invalid("The body of your request has two files; one may be uploaded at a time.")
        self._seen_file, self._filename = True, named.get("filename")

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._pieces.append(data[start:end])
            return
        value = self._fields[self._name] + data[start:end]
        if len(value) > _LONGEST_FIELD:
            raise invalid(f"A field of the form has more than {_LONGEST_FIELD:,} bytes.")
        self._fields[self._name] = value

    def _end(self) -> None:
        self._ended = True


def _disposition(value: bytes) -> dict[str, str]:
    """Return the parameters of a part's Content-Disposition; of two spellings of a name the extended one.

    RFC 7578 knows no ``filename*``, and aiohttp writes it.
    """
    header = Message()
    header["content-disposition"] = value.decode("utf-8", "replace")
    found: dict[str, str] = {}
    for name, given in header.get_params([], "content-disposition")[1:]:
        if isinstance(given, tuple):
            found[name] = collapse_rfc2231_value(given)
        else:
            found[name] = _ESCAPES.sub(lambda escape: chr(int(escape[1], 16)), given)
    return found
