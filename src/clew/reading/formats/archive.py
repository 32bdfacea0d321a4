"""Zip archives from strangers: looked at before anything is unpacked, and unpacked under a count of bytes."""

import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from clew.reading.formats.out import Refused

MOST_MEMBERS = 10_000
MOST_RATIO = 100
"""How many times its packed size a member may have unpacked; deflate itself reaches 1032."""
MOST_BYTES = 500_000_000
"""Unpacked bytes, of all members together."""
_SMALL = 1_000_000  # bytes; what is no longer may be packed as well as can be
_STEP = 1 << 18


class Archive:
    """An archive that may be read; nothing of it is ever written to a disk, so its names are only names."""

    def __init__(self, file: BinaryIO) -> None:
        """Look at what the archive says of itself.

        Raises:
            Refused: it is none, is encrypted, or has more members or bytes than a document has.
        """
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError):
            raise Refused("invalid_file", "The file is damaged: it is no complete zip archive.") from None
        members = self._zip.infolist()
        if len(members) > MOST_MEMBERS:
            raise Refused("invalid_file", f"The file holds more than {MOST_MEMBERS:,} parts.")
        for member in members:
            _look_at(member)
        if sum(member.file_size for member in members) > MOST_BYTES:
            raise _too_large()
        self._members = {member.filename: member for member in members}
        self._left = MOST_BYTES

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield a member's bytes, a quarter of a megabyte at once.

        Raises:
            Refused: there is no such member, or more has been unpacked than :data:`MOST_BYTES`.
            zipfile.BadZipFile: it isn't what the archive says.
        """
        if name not in self._members:
            raise Refused("invalid_file", "The file is damaged: a part of it is missing.")
        with self._zip.open(self._members[name]) as opened:
            while piece := opened.read(_STEP):
                self._left -= len(piece)
                if self._left < 0:
                    raise _too_large()
                yield piece

    def unpack_all(self) -> None:
        """Unpack every member into nothing, for a reader that would believe what the archive says of them.

        Raises:
            Refused: they are too large.
            zipfile.BadZipFile: a member isn't what the archive says.
        """
        for name in self._members:
            for _ in self.pieces(name):
                pass
        self._left = MOST_BYTES


def _look_at(member: zipfile.ZipInfo) -> None:
    if member.flag_bits & 0x1:
        raise Refused("invalid_file", "The file is encrypted.")
    # The other methods of zip unpack without a bound in the standard library; no document uses them.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused("invalid_file", "The file is packed in a way that documents are not.")
    if member.file_size > max(_SMALL, MOST_RATIO * member.compress_size):
        raise _too_large()


def _too_large() -> Refused:
    return Refused("invalid_file", "The file is too large: what it holds unpacks to more than is read.")
