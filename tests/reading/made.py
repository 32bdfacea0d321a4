"""Files as users upload them, made byte by byte, with the fewest parts that their formats ask for."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence

_WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_SLIDE = (
    'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)
_SHEET = (
    'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)
_KINDS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"


def zipped(members: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive of members by name."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return held.getvalue()


def relations(pairs: Iterable[tuple[str, str, str]]) -> str:
    """Return a part's relations: key, kind and target of each."""
    rows = "".join(
        f'<Relationship Id="{key}" Type="{_KINDS}/{kind}" Target="{target}"/>' for key, kind, target in pairs
    )
    return f'<Relationships xmlns="{_RELATIONS}">{rows}</Relationships>'


def docx(body: str, extra: Mapping[str, str | bytes] | None = None) -> bytes:
    """Return a Word document with this inside of its body, and other parts by name."""
    return zipped(
        {
            "_rels/.rels": relations([("r1", "officeDocument", "word/document.xml")]),
            "word/document.xml": f"<w:document {_WORD}><w:body>{body}</w:body></w:document>",
            **(extra or {}),
        }
    )


def paragraph(text: str) -> str:
    """Return a paragraph of a Word document."""
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def pptx(slides: Sequence[str], notes: Mapping[int, str]) -> bytes:
    """Return a presentation of slides with a paragraph each, and notes by the slide's number, from 1.

    Its parts are numbered backwards, so that only its list of slides tells their order.
    """
    count = len(slides)
    keys = range(1, count + 1)
    listed = "".join(f'<p:sldId r:id="s{key}" id="{255 + key}"/>' for key in keys)
    members = {
        "_rels/.rels": relations([("r1", "officeDocument", "/ppt/presentation.xml")]),
        "ppt/presentation.xml": (
            f"<p:presentation {_SLIDE}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>"
        ),
        "ppt/_rels/presentation.xml.rels": relations(
            (f"s{key}", "slide", f"slides/slide{count - key}.xml") for key in keys
        ),
    }
    for key, text in enumerate(slides, 1):
        members[f"ppt/slides/slide{count - key}.xml"] = f"<p:sld {_SLIDE}>{_shape(text)}</p:sld>"
    for key, text in notes.items():
        members[f"ppt/slides/_rels/slide{count - key}.xml.rels"] = relations(
            [("n1", "notesSlide", f"../notesSlides/notes{key}.xml")]
        )
        members[f"ppt/notesSlides/notes{key}.xml"] = f"<p:notes {_SLIDE}>{_shape(text)}</p:notes>"
    return zipped(members)


def _shape(text: str) -> str:
    return f"<p:sp><p:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"


def xlsx(sheets: Mapping[str, str]) -> bytes:
    """Return a workbook of sheets by name, each given as its rows in XML."""
    names = list(sheets)
    listed = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="s{n}"/>' for n, name in enumerate(names, 1))
    members = {
        "_rels/.rels": relations([("r1", "officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": f"<workbook {_SHEET}><sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relations(
            (f"s{n}", "worksheet", f"worksheets/sheet{n}.xml") for n in range(1, len(names) + 1)
        ),
    }
    for number, rows in enumerate(sheets.values(), 1):
        members[f"xl/worksheets/sheet{number}.xml"] = (
            f"<worksheet {_SHEET}><sheetData>{rows}</sheetData></worksheet>"
        )
    return zipped(members)


def row(number: int, values: Sequence[str | float | bool]) -> str:
    """Return a sheet's row, its cells from column A on."""
    places = [f"{chr(65 + column)}{number}" for column in range(len(values))]
    return f'<row r="{number}">{"".join(map(_cell, places, values))}</row>'


def _cell(place: str, value: str | float | bool) -> str:
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'
    if isinstance(value, bool):
        return f'<c r="{place}" t="b"><v>{int(value)}</v></c>'
    return f'<c r="{place}"><v>{value}</v></c>'


def epub(chapters: Sequence[str], order: Sequence[int] | None = None) -> bytes:
    """Return a book of chapters in XHTML, read in an order of numbers from 0."""
    items = "".join(f'<item id="c{n}" href="text/{n}%20c.xhtml"/>' for n in range(len(chapters)))
    spine = "".join(f'<itemref idref="c{n}"/>' for n in order or range(len(chapters)))
    members = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": (
            '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>'
        ),
        "OPS/book.opf": f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>",
    }
    for number, chapter in enumerate(chapters):
        members[f"OPS/text/{number} c.xhtml"] = (
            '<?xml version="1.0"?><!DOCTYPE html><html><head><title>T</title></head>'
            f"<body>{chapter}</body></html>"
        )
    return zipped(members)


def pdf_of(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """Return a PDF of numbered objects, the first of which is the catalogue."""
    written = bytearray(b"%PDF-1.7\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table, size = len(written), len(objects) + 1
    written += b"xref\n0 %d\n0000000000 65535 f \n" % size
    written += b"".join(b"%010d 00000 n \n" % place for place in places)
    written += b"trailer\n<</Size %d/Root 1 0 R%b>>\n" % (size, trailer)
    written += b"startxref\n%d\n%%%%EOF\n" % table
    return bytes(written)


def stream(content: bytes, entries: bytes = b"") -> bytes:
    """Return a stream object."""
    return b"<</Length %d%b>>stream\n%b\nendstream" % (len(content), entries, content)


def pdf(pages: Sequence[str], trailer: bytes = b"") -> bytes:
    """Return a PDF with a line of text on each page; an empty one has no text at all."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * number) for number in range(len(pages)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, len(pages)),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for number, text in enumerate(pages):
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Resources<</Font<</F1 3 0 R>>>>"
            b"/Contents %d 0 R>>" % (5 + 2 * number)
        )
        shown = b"BT /F1 12 Tf 72 700 Td (%b) Tj ET" % text.encode("latin-1") if text else b"0 0 m 9 9 l S"
        objects.append(stream(shown))
    return pdf_of(objects, trailer)


def encrypted_pdf() -> bytes:
    """Return a PDF that no password opens, least of all an empty one."""
    key = b"<</Filter/Standard/V 1/R 2/O<%b>/U<%b>/P -4>>" % (b"41" * 32, b"42" * 32)
    return pdf(["secret"], b"/Encrypt %b/ID[<00><00>]" % key)


def png(width: int, height: int, rows: Iterable[bytes], depth: int = 8, colours: int = 2) -> bytes:
    """Return a PNG of a size, depth and type of colours, with rows of samples, each without its filter."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b"\0" + each) for each in rows) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
