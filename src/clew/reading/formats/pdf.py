"""PDF, by PDFium, which is not safe to use in threads, and dies of some files: so only the child runs it."""

import importlib
from typing import Any, BinaryIO

from clew.reading.formats.out import Out, Refused

_PASSWORD = 4  # FPDF_ERR_PASSWORD of PDFium's public/fpdfview.h


def read(file: BinaryIO, out: Out) -> None:
    """Write a section for each page that has text.

    Raises:
        Refused: the file is no PDF, is encrypted, or no page has any text.
    """
    pdfium: Any = importlib.import_module("pypdfium2")  # ships no types
    try:
        document = pdfium.PdfDocument(file)
    except pdfium.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD:
            raise Refused("invalid_file", "The PDF is encrypted: it opens with a password only.") from None
        raise
    found = unreadable = 0
    for number in range(len(document)):
        try:
            text = _text(document, number)
        except pdfium.PdfiumError:
            unreadable += 1  # one broken page takes nothing from the others
            continue
        found += bool(text.strip())
        out.begin(number + 1)
        out.write(text)
    if not found and unreadable:
        raise Refused("invalid_file", "The PDF is damaged: no page of it can be read.")
    if not found:
        raise Refused("unsupported_file", "The PDF has no text; scanned pages can't be read.")


def _text(document: Any, number: int) -> str:
    page = document[number]
    try:
        words = page.get_textpage()
        try:
            return str(words.get_text_range())
        finally:
            words.close()
    finally:
        page.close()
