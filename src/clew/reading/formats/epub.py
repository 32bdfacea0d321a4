"""Books: EPUB 3.3, sections 4.2.6.3 (the container) and 5 (the package), its chapters read as HTML."""

import posixpath
from typing import BinaryIO
from urllib.parse import unquote

from clew.reading.formats import html
from clew.reading.formats.archive import Archive
from clew.reading.formats.markup import walk
from clew.reading.formats.out import Out, Refused
from clew.reading.formats.plain import decoded


def read(file: BinaryIO, out: Out) -> None:
    """Write a section for each chapter, in the order in which they are read.

    Raises:
        Refused: the file is no EPUB.
    """
    archive = Archive(file)
    for chapter in _chapters(archive, _package(archive)):
        out.begin()
        html.write(decoded(b"".join(archive.pieces(chapter))), out)


def _package(archive: Archive) -> str:
    found: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "rootfile":
            found.append(attributes.get("full-path", ""))

    walk(archive.pieces("META-INF/container.xml"), start)
    if not found:
        raise Refused("invalid_file", "The file is no EPUB: it does not say where the book is.")
    return found[0]


def _chapters(archive: Archive, package: str) -> list[str]:
    places: dict[str, str] = {}
    order: list[str] = []
    folder = posixpath.dirname(package)

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "item":
            target = posixpath.join("/", folder, unquote(attributes.get("href", "")))
            places[attributes.get("id", "")] = posixpath.normpath(target).lstrip("/")
        elif name == "itemref":
            order.append(attributes.get("idref", ""))

    walk(archive.pieces(package), start)
    parts = dict.fromkeys(places.get(each, "") for each in order)  # each once, however often it is named
    return [part for part in parts if part in archive]
