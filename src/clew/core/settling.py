"""Text that a model writes, settled as it comes: citations of passages, links to files of a session. Pure."""

from collections.abc import Mapping

from clew.core.citing import Citing, Settled
from clew.core.code import LINK, Links
from clew.core.content import (
    Annotation,
    FileCitation,
    FileCitationAnnotation,
    FilePath,
    FilePathAnnotation,
)


class Settling:
    """Settles a text that comes in pieces: a marker or a link is one piece, told when it is whole.

    Args:
        citable: the files of results that may be cited, by their places; None where nothing is searched.
        linkable: the files that may be linked to, by name; None where no code is run.
    """

    def __init__(self, citable: Mapping[str, str] | None, linkable: Mapping[str, str] | None) -> None:
        self._citing = None if citable is None else Citing(citable)
        self._links = None if linkable is None else Links(linkable)

    def feed(self, text: str) -> list[Settled]:
        """Take a piece of text; return what is settled by it."""
        return self._linked([Settled(text)] if self._citing is None else self._citing.feed(text))

    def end(self) -> list[Settled]:
        """Return what is left when no more comes."""
        settled = self._linked([] if self._citing is None else self._citing.end())
        return settled if self._links is None else settled + self._links.end()

    def _linked(self, settled: list[Settled]) -> list[Settled]:
        links = self._links
        if links is None:
            return settled
        linked: list[Settled] = []
        for each in settled:
            linked += links.feed(each.text) if each.file_id is None else [*links.end(), each]
        return linked


def annotation_of(text: str, file_id: str, start: int) -> Annotation:
    """Return the annotation of a marker or a link that begins at the code point ``start``."""
    end = start + len(text)
    if text.startswith(LINK):
        path = FilePath(file_id)
        return FilePathAnnotation(text=text, start_index=start, end_index=end, file_path=path)
    citation = FileCitation(file_id)
    return FileCitationAnnotation(text=text, start_index=start, end_index=end, file_citation=citation)
