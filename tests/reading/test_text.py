"""What is read out of each kind of file."""

from pathlib import Path

import pytest

from clew.reading.reader import CannotRead, Reader, Section
from tests.reading import made

pytestmark = pytest.mark.anyio


async def _read(folder: Path, name: str, content: bytes) -> list[Section]:
    path = folder / "content"  # its own name says nothing; the user's does
    path.write_bytes(content)
    async with Reader() as reader:
        return await reader.text(path, name)


async def _refused(folder: Path, name: str, content: bytes) -> CannotRead:
    with pytest.raises(CannotRead) as caught:
        await _read(folder, name, content)
    return caught.value


@pytest.mark.parametrize(
    "content",
    [
        "naïve é ok\n".encode(),
        "naïve é ok\n".encode("utf-8-sig"),
        "naïve é ok\n".encode("utf-16"),
        b"\xfe\xff" + "naïve é ok\n".encode("utf-16-be"),
        "naïve é ok\n".encode("utf-16-le"),
        "naïve é ok\n".encode("utf-16-be"),
        "naïve é ok\n".encode("utf-32"),
        "naïve é ok\r\n".encode("cp1252"),
        "na\0ïve é\x07 ok\r".encode(),
    ],
    ids=["utf-8", "mark", "utf-16", "utf-16-be", "bare-le", "bare-be", "utf-32", "windows-1252", "controls"],
)
async def test_text_in_any_encoding(tmp_path: Path, content: bytes) -> None:
    assert await _read(tmp_path, "notes.md", content) == [Section("naïve é ok\n")]


async def test_latin_1_where_nothing_else_fits(tmp_path: Path) -> None:
    assert await _read(tmp_path, "a.txt", b"caf\xe9 \x81!") == [Section("café \x81!")]


async def test_long_text_comes_whole(tmp_path: Path) -> None:
    text = "".join(f"line {number} é ünï\r\n" for number in range(60_000))
    (section,) = await _read(tmp_path, "a.log", text.encode())
    assert section.text == text.replace("\r\n", "\n")


async def test_a_pdf_by_its_pages(tmp_path: Path) -> None:
    sections = await _read(tmp_path, "Report.PDF", made.pdf(["First page", "", "Third page"]))
    assert sections == [Section("First page", 1), Section("Third page", 3)]


async def test_a_word_document(tmp_path: Path) -> None:
    cell = "<w:tc>" + made.paragraph("{}") + "</w:tc>"
    tabs = (
        '<w:p><w:pPr><w:tabs><w:tab w:val="left"/></w:tabs></w:pPr>'
        "<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t></w:r></w:p>"
    )
    body = (
        made.paragraph("One &amp; two")
        + tabs
        + "<w:p><w:r><w:delText>gone</w:delText><w:instrText>PAGE</w:instrText></w:r></w:p>"
        + "<w:tbl><w:tr>"
        + cell.format("x")
        + cell.format("y")
        + "</w:tr></w:tbl>"
        + made.paragraph("  kept  apart  ")
    )
    extra: dict[str, str | bytes] = {
        "word/_rels/document.xml.rels": made.relations(
            [("n", "footnotes", "notes.xml"), ("m", "image", "m.png")]
        ),
        "word/notes.xml": '<w:n xmlns:w="w"><w:p><w:r><w:t>a note</w:t></w:r></w:p></w:n>',
        "word/m.png": b"\x89PNG",
    }
    (section,) = await _read(tmp_path, "a.docx", made.docx(body, extra))
    assert section == Section("One & two\na\tb\nx \ty \t\n  kept  apart  \na note\n")


async def test_slides_in_their_order_with_notes(tmp_path: Path) -> None:
    deck = made.pptx(["Hello", "Again"], {2: "say it slowly"})
    assert await _read(tmp_path, "a.pptx", deck) == [
        Section("Hello\n", 1),
        Section("Again\nsay it slowly\n", 2),
    ]


async def test_sheets_with_whole_numbers(tmp_path: Path) -> None:
    people = made.row(1, ["name", "age", "ratio", "here"]) + made.row(3, ["Ann", 89, 0.5, True])
    book = made.xlsx({"People": people, "Empty": "", "More": made.row(1, ["last"])})
    assert await _read(tmp_path, "a.xlsx", book) == [
        Section("# People\nname\tage\tratio\there\nAnn\t89\t0.5\tTRUE\n"),
        Section("# More\nlast\n"),
    ]


async def test_a_book_by_its_chapters(tmp_path: Path) -> None:
    book = made.epub(["<p>one</p>", "<p>two &eacute;</p>"], order=[1, 0, 1])
    assert await _read(tmp_path, "a.epub", book) == [Section("T\ntwo é\n"), Section("T\none\n")]


async def test_a_page_without_its_scripts(tmp_path: Path) -> None:
    page = (
        "<!doctype html><title>Title</title><script>if (a < b) evil()</script><style>p{}</style>"
        "<p class='a > b'>Hello\n   <b>world</b> &amp; all</p><!-- no --><ul><li>one<li>two</ul>"
        "<table><tr><td>x</td><td>y</td></tr></table><pre>a  b\n c</pre>1 < 2 <SCRIPT>gone"
    )
    (section,) = await _read(tmp_path, "a.html", page.encode())
    assert section.text == "Title\nHello world & all\none\ntwo\nx\ty\t\na  b\n c\n1 < 2 "


async def test_what_is_refused_says_why(tmp_path: Path) -> None:
    scanned = await _refused(tmp_path, "a.pdf", made.pdf([""]))
    assert (scanned.code, scanned.message) == (
        "unsupported_file",
        "The PDF has no text; scanned pages can't be read.",
    )
    older = await _refused(tmp_path, "a.doc", b"\xd0\xcf\x11\xe0")
    assert older.code == "unsupported_file"
    assert "save it as .docx" in older.message
    assert (await _refused(tmp_path, "a.exe", b"MZ")).code == "unsupported_file"
    assert (await _refused(tmp_path, "README", b"text")).code == "unsupported_file"
    empty = await _refused(tmp_path, "a.txt", b"")
    assert (empty.code, empty.message) == ("invalid_file", "The file is empty.")
    other = await _refused(tmp_path, "a.txt", made.pdf(["text"]))
    assert other.message == "The file's name says otherwise, but it is a PDF."
    assert "password" in (await _refused(tmp_path, "a.pdf", made.encrypted_pdf())).message


async def test_twenty_million_characters_are_the_most(tmp_path: Path) -> None:
    long = await _refused(tmp_path, "a.txt", b"x" * 20_000_001)
    assert long.code == "invalid_file"
    assert "too long" in long.message
    (section,) = await _read(tmp_path, "a.txt", b"x" * 20_000_000)
    assert len(section.text) == 20_000_000


async def test_a_missing_file_is_the_servers_fault(tmp_path: Path) -> None:
    async with Reader() as reader:
        with pytest.raises(CannotRead) as caught:
            await reader.text(tmp_path / "none", "a.txt")
    assert caught.value.code == "server_error"
    assert str(tmp_path) not in caught.value.message
