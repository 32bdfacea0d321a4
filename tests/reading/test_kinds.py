"""What names and first bytes tell, and HTML whatever is in it."""

import io
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.reading.formats import html
from clew.reading.formats.out import Out
from clew.reading.formats.plain import decoded
from clew.reading.reader import SUPPORTED, image_type, type_of


@pytest.mark.parametrize(
    ("filename", "kind"),
    [
        ("a.PDF", "pdf"),
        ("../..\\b.tar.docx", "docx"),
        ("a.py", "text"),
        ("a.b/c", None),
        (".pdf", None),
        ("a.doc", None),
        ("a.", None),
        ("", None),
    ],
)
def test_the_kind_follows_from_the_extension(filename: str, kind: str | None) -> None:
    assert type_of(filename) == kind


def test_what_openai_lists_is_read() -> None:
    listed = "c cpp cs css docx go html java js json md pdf php pptx py rb sh tex ts txt"
    assert {f".{each}" for each in listed.split()} <= set(SUPPORTED)


@pytest.mark.parametrize(
    ("first", "media_type"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        (b"BM", None),
        (b"<svg", None),
        (b"", None),
    ],
)
def test_the_type_of_an_image(first: bytes, media_type: str | None) -> None:
    assert image_type(first) == media_type


def _text(page: str) -> str:
    held = io.BytesIO()
    out = Out(held)
    out.begin()
    html.write(page, out)
    out.write("|")  # so that there is some text
    out.end()
    lines = [json.loads(line) for line in held.getvalue().splitlines()]
    return "".join(line.get("text", "") for line in lines)


_PIECES = st.lists(
    st.sampled_from(
        [
            "<",
            ">",
            "</",
            "<!--",
            "-->",
            "<p",
            "</p>",
            "<script>",
            "</script",
            "<pre>",
            '="',
            "'",
            "&",
            "&#x",
            " a",
        ]
    )
    | st.text(max_size=5)
)


@given(_PIECES.map("".join))
def test_any_page_is_read(page: str) -> None:
    assert _text(page).endswith("|")


@given(st.text(alphabet=st.characters(exclude_characters="<&", codec="ascii")))
def test_words_without_tags_stay(page: str) -> None:
    words = "".join(each if each >= " " and each != "\x7f" else "" for each in " ".join(page.split()))
    assert _text(page).removesuffix("|").strip() == words.strip()


@pytest.mark.parametrize(
    "piece", ["<!--", '<a b="', "<script>", "<a =", "<![CDATA[", "</", "<", "&#1", "<a\t", "=' ", "<style "]
)
def test_a_page_takes_linear_time(piece: str) -> None:
    begun = time.process_time()
    assert _text(piece * (1_000_000 // len(piece))).endswith("|")
    assert time.process_time() - begun < 10  # it takes a second or less; a parser that looks back, a minute


@given(st.binary())
def test_any_bytes_are_text(data: bytes) -> None:
    assert isinstance(decoded(data), str)
