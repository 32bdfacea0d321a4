"""Word documents and PowerPoint presentations, from their XML (ECMA-376), without their libraries.

Those libraries leave out comments, footnotes, equations, tables in slides, groups and notes, and take several
times the memory. Parts are found by their relations, as the standard has it (part 2), not by their names.
"""

import posixpath
from typing import BinaryIO, NamedTuple

from clew.reading.formats.archive import Archive
from clew.reading.formats.markup import walk
from clew.reading.formats.out import Flow, Out, Refused

_BESIDE_A_DOCUMENT = ("diagramData", "footnotes", "endnotes", "comments", "header", "footer")
_BESIDE_A_SLIDE = ("diagramData", "notesSlide")
# Properties have tabulators of their own; what was deleted, how a field is computed, the number of a slide,
# and what older programs are shown instead of a drawing, is no text of the document.
_SKIPPED = frozenset({"pPr", "rPr", "tblPr", "sectPr", "delText", "instrText", "fld", "Fallback"})


class Relation(NamedTuple):
    """Where a part of the package points to."""

    key: str
    kind: str
    """The last word of its type, such as ``footnotes``."""
    part: str


def read_document(file: BinaryIO, out: Out) -> None:
    """Write a document, and after it its notes, comments, headers and footers, as one section.

    Raises:
        Refused: the file is no Word document.
    """
    archive = Archive(file)
    main = _main_part(archive)
    beside = [each.part for each in _relations(archive, main) if each.kind in _BESIDE_A_DOCUMENT]
    out.begin()
    for part in dict.fromkeys([main, *beside]):
        if part in archive:
            _write(archive, part, out)


def read_slides(file: BinaryIO, out: Out) -> None:
    """Write a section for each slide, with the notes to it.

    Raises:
        Refused: the file is no presentation.
    """
    archive = Archive(file)
    for number, slide in enumerate(_slides(archive), 1):
        out.begin(number)
        _write(archive, slide, out)
        for relation in _relations(archive, slide):
            if relation.kind in _BESIDE_A_SLIDE and relation.part in archive:
                _write(archive, relation.part, out)


def _slides(archive: Archive) -> list[str]:
    """Return the slides' parts in the order in which they are shown."""
    main = _main_part(archive)
    parts = {each.key: each.part for each in _relations(archive, main) if each.kind == "slide"}
    shown: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "sldId" and (part := parts.get(attributes.get("relationships id", ""))) is not None:
            shown.append(part)

    walk(archive.pieces(main), start)
    return [part for part in dict.fromkeys(shown) if part in archive]


def _main_part(archive: Archive) -> str:
    for relation in _relations(archive, ""):
        if relation.kind == "officeDocument" and relation.part in archive:
            return relation.part
    raise Refused("invalid_file", "The file is no Office document: it lacks the part that holds the text.")


def _relations(archive: Archive, part: str) -> list[Relation]:
    folder, name = posixpath.split(part)
    listed = posixpath.join(folder, "_rels", f"{name}.rels")
    found: list[Relation] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag == "Relationship" and attributes.get("TargetMode") != "External":
            kind = attributes.get("Type", "").rpartition("/")[2]
            target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", "")))
            found.append(Relation(attributes.get("Id", ""), kind, target.lstrip("/")))

    if listed in archive:
        walk(archive.pieces(listed), start)
    return found


def _write(archive: Archive, part: str, out: Out) -> None:
    text = _Text(Flow(out))
    walk(archive.pieces(part), text.start, text.end, text.characters)
    text.flow.line()


class _Text:
    """Takes the text out of tags that Word and PowerPoint share by their local names."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self._in_text = self._skipping = self._cells = 0

    def start(self, name: str, _: dict[str, str]) -> None:
        if self._skipping or name in _SKIPPED:
            self._skipping += 1
        elif name == "t":
            self._in_text += 1
        elif name == "tab":
            self.flow.cell()
        elif name in ("br", "cr"):
            self.flow.line()
        elif name == "noBreakHyphen":
            self.flow.words("-")
        elif name == "tc":
            self._cells += 1

    def end(self, name: str) -> None:
        if self._skipping:
            self._skipping -= 1
        elif name == "t":
            self._in_text -= 1
        elif name == "p":
            self._end_paragraph()
        elif name == "tc":
            self._cells -= 1
            self.flow.cell()
        elif name == "tr":
            self.flow.line()

    def characters(self, text: str) -> None:
        if self._in_text and not self._skipping:
            self.flow.words(text, as_it_is=True)

    def _end_paragraph(self) -> None:
        if self._cells:
            self.flow.words(" ")  # a cell's paragraphs stay on its row's line
        else:
            self.flow.line()
