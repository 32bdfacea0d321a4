"""HTML, by the standard library's parser, which is slow but linear where faster ones are not."""

from html.parser import HTMLParser
from typing import BinaryIO

from clew.reading.formats.out import Flow, Out
from clew.reading.formats.plain import bounded, decoded

# Tags that begin and end a line.
_LINES = (
    "address article aside blockquote body br caption dd details dialog div dl dt fieldset figcaption figure "
    "footer form h1 h2 h3 h4 h5 h6 head header hr html legend li main nav ol option p pre section select "
    "summary table tbody tfoot thead title tr ul"
)
_BLOCKS = frozenset(_LINES.split())
_DROPPED = frozenset({"script", "style"})


def read(file: BinaryIO, out: Out) -> None:
    """Write a page as one section."""
    out.begin()
    write(decoded(bounded(file)), out)


def write(page: str, out: Out) -> None:
    """Add a page's text to the section that has begun: no scripts, no styles, a line for each block."""
    parser = _Text(Flow(out))
    parser.feed(page)
    parser.close()


class _Text(HTMLParser):
    def __init__(self, flow: Flow) -> None:
        super().__init__(convert_charrefs=True)
        self._flow = flow
        self._dropped = False
        self._verbatim = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _DROPPED:
            self._dropped = True
        elif tag in _BLOCKS:
            self._flow.line()
        self._verbatim += tag == "pre"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self._flow.line()

    def handle_endtag(self, tag: str) -> None:
        if tag in _DROPPED:
            self._dropped = False
        elif tag in ("td", "th"):
            self._flow.cell()
        elif tag in _BLOCKS:
            self._flow.line()
        if tag == "pre" and self._verbatim:
            self._verbatim -= 1

    def handle_data(self, data: str) -> None:
        if not self._dropped:
            self._flow.words(data, as_it_is=self._verbatim > 0)
