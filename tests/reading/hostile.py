"""Files that were made to do harm, each with what must come of it: python -m tests.reading.hostile [NAME ...]

Each ends within a bound of time, and the largest process that read one within a bound of memory, which is
printed. The suite reads those that take no more than a few seconds; `make test-attacks` reads all.
"""

import argparse
import asyncio
import hashlib
import io
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from clew.reading.reader import CannotRead, Reader
from tests.reading import made

SECONDS = 80.0
"""How long the worst may take on a busy machine: its minute of processor, and what others take meanwhile."""

MEGABYTES = 1100
"""What the largest process may take: its gigabyte of addresses, and less is real memory."""


class Hostile(NamedTuple):
    """A file, and what comes of reading it: a code of CannotRead, or "read"."""

    name: str
    make: Callable[[], bytes | Iterable[bytes]]
    outcome: str
    slow: bool = False


def _zip_bomb() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("_rels/.rels", made.relations([("r1", "officeDocument", "word/document.xml")]))
        with archive.open("word/document.xml", "w", force_zip64=True) as member:
            for _ in range(100):
                member.write(b" " * 1_000_000)
    return held.getvalue()


def _lying_sizes(content: bytes, name: str) -> bytes:
    """Say in both of its heads that a member is 1,000 bytes long, though it unpacks to far more."""
    archive = bytearray(content)
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        member = opened.getinfo(name)
        size = struct.pack("<I", member.file_size)
    struct.pack_into("<I", archive, member.header_offset + 22, 1000)
    central = archive.rindex(b"PK\x01\x02", 0, archive.rindex(name.encode()))
    assert archive[central + 24 : central + 28] == size
    struct.pack_into("<I", archive, central + 24, 1000)
    return bytes(archive)


def _declared_sum() -> bytes:
    """Say that a member unpacks to 600 MB, from 10 MB: which is no ratio that anybody would mind."""
    name = "word/document.xml"
    archive = bytearray(made.docx(made.paragraph("text")))
    central = archive.rindex(b"PK\x01\x02", 0, archive.rindex(name.encode()))
    struct.pack_into("<II", archive, central + 20, 10_000_000, 600_000_000)
    return bytes(archive)


def _many_members() -> bytes:
    return made.zipped({f"{number}": b"" for number in range(10_001)}, zipfile.ZIP_STORED)


def _encrypted_member() -> bytes:
    archive = bytearray(made.docx(made.paragraph("secret")))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := archive.find(mark, at + 1)) >= 0:
            archive[at + place] |= 1
    return bytes(archive)


_LAUGHS = (
    "<!DOCTYPE d ["
    + '<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    + "]><d>&a11;</d>"
)
_XXE = '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d>&x;</d>'


def _document(xml: str) -> bytes:
    return made.zipped(
        {
            "_rels/.rels": made.relations([("r1", "officeDocument", "word/document.xml")]),
            "word/document.xml": xml,
        }
    )


def _slip() -> bytes:
    names = ["../../../../tmp/clew-slipped", "/tmp/clew-slipped", "..\\clew-slipped"]
    return made.docx(made.paragraph("kept"), dict.fromkeys(names, b"x"))


def _page_tree_loop() -> bytes:
    return made.pdf_of([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>"])


def _flate_bomb() -> bytes:
    packer = zlib.compressobj(9)
    once = b"".join(packer.compress(b" " * 1_000_000) for _ in range(2000)) + packer.flush()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>",
        made.stream(zlib.compress(once, 9), b"/Filter[/FlateDecode/FlateDecode]"),
    ]
    return made.pdf_of(objects)


def _many_pages() -> bytes:
    kids = b" ".join([b"3 0 R"] * 100_000)
    pages = b"<</Type/Pages/Kids[%b]/Count 100000>>" % kids
    return made.pdf_of(
        [b"<</Type/Catalog/Pages 2 0 R>>", pages, b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"]
    )


def _wide_sheet() -> bytes:
    far = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1000000"><c r="XFD1000000"><v>2</v></c></row>'
    return made.xlsx({"wide": far})


def _png_bomb() -> bytes:
    line = bytes(20_000 * 3)
    return made.png(20_000, 20_000, (line for _ in range(20_000)))


def _large_png() -> bytes:
    """Return the largest picture that is read, of the kind that takes the most memory: half transparent."""
    line = bytes(range(256)) * 125
    return made.png(8_000, 6_250, (line[:32_000] for _ in range(6_250)), colours=6)


CASES = (
    Hostile("empty.txt", lambda: b"", "invalid_file"),
    Hostile("nul.txt", lambda: bytes(1000), "unsupported_file"),
    Hostile("line.txt", lambda: (b"x" * 1_000_000 for _ in range(200)), "invalid_file"),
    Hostile("controls.txt", lambda: b"\x01" * 19_000_000 + b"end", "read"),
    Hostile("picture.txt", lambda: made.png(1, 1, [b"abc"]), "invalid_file"),
    Hostile("text.pdf", lambda: b"no PDF", "invalid_file"),
    Hostile("text.docx", lambda: b"no archive", "invalid_file"),
    Hostile("old.docx", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "invalid_file"),
    Hostile("bomb.docx", _zip_bomb, "invalid_file"),
    Hostile(
        "lies.docx",
        lambda: _lying_sizes(made.docx(made.paragraph("ha" * 5_000_000)), "word/document.xml"),
        "invalid_file",
    ),
    Hostile(
        "lies.xlsx",
        lambda: _lying_sizes(made.xlsx({"a": made.row(1, ["ha" * 5_000_000])}), "xl/worksheets/sheet1.xml"),
        "invalid_file",
    ),
    Hostile("sum.docx", _declared_sum, "invalid_file"),
    Hostile("members.docx", _many_members, "invalid_file"),
    Hostile("encrypted.docx", _encrypted_member, "invalid_file"),
    Hostile("cut.docx", lambda: made.docx(made.paragraph("text"))[:-40], "invalid_file"),
    Hostile("lzma.docx", lambda: made.zipped({"a": b"a"}, zipfile.ZIP_LZMA), "invalid_file"),
    Hostile("laughs.docx", lambda: _document(_LAUGHS), "invalid_file"),
    Hostile("xxe.docx", lambda: _document(_XXE), "invalid_file"),
    Hostile("nested.docx", lambda: made.docx(_nested()), "unsupported_file"),
    Hostile("slip.docx", _slip, "read"),
    Hostile(
        "tag.docx",
        lambda: made.docx(f'<x a="{_long()}"/>' + made.paragraph("a")),
        "read",
        slow=True,
    ),
    Hostile("attributes.docx", lambda: made.docx(f"<x {_attributes()}/>" + made.paragraph("a")), "read"),
    Hostile("nothing.pptx", lambda: made.zipped({"a": "a"}), "invalid_file"),
    Hostile("again.epub", lambda: made.epub(["<p>one</p>"], [0] * 40_000), "read"),
    Hostile("wide.xlsx", _wide_sheet, "invalid_file"),
    Hostile("loop.pdf", _page_tree_loop, "invalid_file"),
    Hostile("flate.pdf", _flate_bomb, "invalid_file", slow=True),
    Hostile("pages.pdf", _many_pages, "unsupported_file", slow=True),
    Hostile("scanned.pdf", lambda: made.pdf(["", ""]), "unsupported_file"),
    Hostile("encrypted.pdf", made.encrypted_pdf, "invalid_file"),
    Hostile("cut.pdf", lambda: made.pdf(["text"] * 50)[:600], "invalid_file"),
    Hostile("nested.html", lambda: b"<b>" * 200_000 + b"text", "read"),
    Hostile("attributes.html", lambda: f"<p {_attributes()}>text</p>".encode(), "read"),
    Hostile("comments.html", lambda: b"<!--" * 200_000, "unsupported_file"),
    Hostile("bomb.png", _png_bomb, "invalid_file", slow=True),
    Hostile("pixels.png", lambda: made.png(20_000, 20_000, [bytes(60_000)]), "invalid_file"),
    Hostile("allowed.png", _large_png, "read", slow=True),
    Hostile("cut.png", lambda: made.png(64, 64, [bytes(range(192))] * 64)[:-60], "invalid_file"),
    Hostile("drawing.png", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported_file"),
    Hostile("document.jpg", lambda: b"\xff\xd8\xff<html>", "invalid_file"),
    Hostile("empty.png", lambda: b"", "invalid_file"),
    Hostile("large.png", lambda: b"\x89PNG\r\n\x1a\n" + bytes(20_000_000), "invalid_file"),
)
"""The hostile files; those whose names end as pictures' do are read as pictures."""


def _long() -> str:
    """Return 100 MB that pack some fifty times: a tag that takes a minute if each piece begins it again."""
    again = hashlib.shake_256(b"again").hexdigest(12_500)
    return "".join(hashlib.shake_256(b"%d" % number).hexdigest(150) + again for number in range(4000))


def _attributes() -> str:
    return " ".join(f'a{number}="{number}"' for number in range(500_000))


def _nested() -> str:
    names = [f"w:x{number * number % 1009}" for number in range(200_000)]  # too varied to be packed well
    return "".join(f"<{name}>" for name in names) + "".join(f"</{name}>" for name in reversed(names))


def write(case: Hostile, folder: Path) -> Path:
    """Make a hostile file, and return where it lies."""
    path = folder / case.name
    content = case.make()
    with path.open("wb") as file:
        for piece in [content] if isinstance(content, bytes) else content:
            file.write(piece)
    return path


async def outcome(reader: Reader, path: Path) -> str:
    """Read a file, and return what came of it, as :class:`Hostile` has it."""
    try:
        if path.suffix in (".png", ".jpg"):
            await reader.image(path, 512)
        else:
            await reader.text(path, path.name)
    except CannotRead as error:
        return error.code
    return "read"


async def _attack(chosen: list[Hostile], folder: Path) -> bool:
    import resource

    failed = False
    async with Reader() as reader:
        for case in chosen:
            path = write(case, folder)
            begun = time.monotonic()
            came = await outcome(reader, path)
            seconds = time.monotonic() - begun
            path.unlink()
            largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            holds = came == case.outcome and seconds <= SECONDS and largest <= MEGABYTES
            failed = failed or not holds
            print(
                f"{case.name:16} {'holds' if holds else 'FAILS'}: {came}, {seconds:.1f} s; "
                f"the largest so far took {largest:.0f} MB",
                flush=True,
            )
    return failed


def main() -> None:
    """Read hostile files, and print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="*", help="by default all")
    names = parser.parse_args().name
    with tempfile.TemporaryDirectory() as folder:
        chosen = [case for case in CASES if not names or case.name in names]
        failed = asyncio.run(_attack(chosen, Path(folder)))
    print(f"bounds: {SECONDS:.0f} s, {MEGABYTES} MB")
    sys.exit(failed)


if __name__ == "__main__":
    main()
