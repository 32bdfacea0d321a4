"""Files: /files."""

import re
from typing import TYPE_CHECKING

from clew.core.files import LONGEST_NAME, UPLOADED_FOR
from clew.http.answers import Json
from clew.http.call import Call, page_request
from clew.http.downloads import Download, etag
from clew.http.uploads import Upload
from clew.service import files
from clew.wire.errors import invalid
from clew.wire.explain import bad_choice, too_long
from clew.wire.files import FileObject, file_object
from clew.wire.objects import Deleted, ListObject, listed

if TYPE_CHECKING:
    from clew.http.forms import Form

MOST_LISTED = 10_000
"""Files of one page, unless fewer are asked for: Azure's clients know no pages of files."""

_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""What no name may have: control characters, ends of lines, and what has "exe.txt" read as "txt.exe".
Joiners of letters and emoji, and all kinds of spaces, belong to names: macOS puts U+202F into some."""


async def create(call: Call[Upload]) -> Json[FileObject]:
    """Upload a file of up to 512 MB, with the purpose that it is for."""
    async with files.incoming(call.services, call.project) as incoming:
        filename, purpose = _checked(await call.body.take(incoming.write))
        return Json(file_object(await incoming.keep(filename, purpose)))


def _checked(form: "Form") -> tuple[str, str]:
    """Return a file's name and purpose.

    Raises:
        ApiError: they can't be.
    """
    purpose = form.fields.get("purpose")
    if purpose is None:
        raise invalid(
            "Missing required parameter: 'purpose'.", param="purpose", code="missing_required_parameter"
        )
    if purpose not in UPLOADED_FOR:
        raise bad_choice("purpose", purpose, list(UPLOADED_FOR))
    filename = form.filename or "file"
    if len(filename) > LONGEST_NAME:
        raise too_long("filename", LONGEST_NAME, len(filename))
    if _UNSHOWN.search(filename):
        raise invalid(
            "Invalid 'filename': it has control characters, or some that turn the direction of writing.",
            param="file",
            code="invalid_value",
        )
    return filename, purpose


async def get(call: Call[None]) -> Json[FileObject]:
    """Read what is known of a file."""
    return Json(file_object(await files.read(call.services, call.project, call.path["file_id"])))


async def content(call: Call[None]) -> Download:
    """Download a file's bytes, or the range of them that the header `Range` asks for."""
    file = await files.read(call.services, call.project, call.path["file_id"])
    known = call.header(b"if-range")
    asked = call.header(b"range") if known in (None, etag(file)) else None  # RFC 9110, 13.1.5
    return Download(file, lambda begin, end: files.content(call.services, file, begin, end), asked)


async def delete(call: Call[None]) -> Json[Deleted]:
    """Delete a file. It goes out of every vector store; what cites it goes on naming it."""
    file_id = call.path["file_id"]
    await files.delete(call.services, call.project, file_id)
    return Json(Deleted(file_id, "file"))


async def list_(call: Call[None]) -> Json[ListObject[FileObject]]:
    """List the project's files; ``purpose`` narrows it."""
    wanted = page_request(call, most=MOST_LISTED, usual=MOST_LISTED)
    page = await files.page(call.services, call.project, wanted, call.query.get("purpose") or None)
    return Json(listed([file_object(each) for each in page.items], page.has_more))
