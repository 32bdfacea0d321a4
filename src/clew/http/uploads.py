"""Uploads: bodies that hold a file, read as they come.

Nothing of one is kept in memory but what was just received: a file's bytes go on to whoever takes them. What
takes forms apart is loaded when the first one comes.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from clew.core.files import MOST_BYTES
from clew.wire.errors import invalid

if TYPE_CHECKING:
    from clew.http.forms import Form


_ROUND_A_FILE = 256 * 1024
"""Bytes of a body that are none of the file: fields, heads of parts, what stands before and behind."""


class Upload:
    """A body that was not read yet."""

    def __init__(self, headers: Mapping[bytes, bytes], receive: Receive) -> None:
        self._headers, self._receive = headers, receive

    async def take(self, write: Callable[[bytes], Awaitable[None]]) -> "Form":
        """Read the body; have the bytes of its part ``file`` written as they come.

        Raises:
            ApiError: it is no form with one file, or breaks off.
            ClientDisconnect: the client left in the middle of it.
        """
        from clew.http.forms import Parts, boundary_of

        parts = Parts(boundary_of(self._headers.get(b"content-type", b"").decode("latin-1")))
        more, left = True, MOST_BYTES + _ROUND_A_FILE
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            received, more = message.get("body", b""), message.get("more_body", False)
            left -= len(received)
            for piece in parts.parse(received):
                await write(piece)
            if left < 0:  # a file that is too large was refused before this
                raise invalid("There is more in the body of your request than a file and its fields.")
        return parts.form()
