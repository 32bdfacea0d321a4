"""HTML, taken apart as WHATWG's tokenizer does (HTML standard, 13.2.5), as far as text needs it.

Not by the standard library's parser: in the releases before 2025's last it takes quadratic time (a minute of
processor for 0.8 MB of ``<!--``). Here whatever is begun and not ended, ends the page, as in browsers: so
nothing is looked for twice.
"""

import re
from html import unescape
from typing import BinaryIO

from clew.reading.formats.out import Flow, Out
from clew.reading.formats.plain import bounded, decoded

_LINES = (
    "address article aside blockquote body br caption dd details dialog div dl dt fieldset figcaption figure "
    "footer form h1 h2 h3 h4 h5 h6 head header hr html legend li main nav ol option p pre section select "
    "summary table tbody tfoot thead title tr ul"
)
_BLOCKS = frozenset(_LINES.split())
_CELLS = frozenset({"td", "th"})
_DROPPED = {name: re.compile(f"</{name}[\\s/>]", re.IGNORECASE) for name in ("script", "style")}
_TAG = re.compile(r"</?([a-zA-Z][^\s/>]{0,63})")
# What ends a tag, or begins a value in which ">" ends nothing.
_STOP = re.compile(r">|=\s*([\"'])")
_PIECE = 1 << 16


def read(file: BinaryIO, out: Out) -> None:
    """Write a page as one section."""
    out.begin()
    write(decoded(bounded(file)), out)


def write(page: str, out: Out) -> None:
    """Add a page's text to the section that has begun: no scripts, no styles, a line for each block."""
    _Text(page, Flow(out)).write()


class _Text:
    def __init__(self, page: str, flow: Flow) -> None:
        self._page = page
        self._flow = flow
        self._verbatim = 0

    def write(self) -> None:
        at = 0
        while (tag := self._page.find("<", at)) >= 0:
            self._words(at, tag)
            at = self._behind(tag)
        self._words(at, len(self._page))

    def _behind(self, at: int) -> int:
        """Return where what begins with the "<" at a place is over."""
        page = self._page
        if page.startswith("<!--", at):
            return self._end_of("-->", at + 2)  # "<!-->" is a whole comment
        if (named := _TAG.match(page, at)) is not None:
            return self._tag(named, at)
        if page.startswith(("<!", "<?", "</"), at):
            return self._end_of(">", at + 2)
        self._flow.words("<")
        return at + 1

    def _end_of(self, mark: str, at: int) -> int:
        found = self._page.find(mark, at)
        return len(self._page) if found < 0 else found + len(mark)

    def _tag(self, named: re.Match[str], at: int) -> int:
        end = self._end_of_tag(named.end())
        name = named[1].lower()
        closes = self._page[at + 1] == "/"
        if name in _CELLS and closes:
            self._flow.cell()
        elif name in _BLOCKS:
            self._flow.line()
        if name == "pre":
            self._verbatim = max(0, self._verbatim + (-1 if closes else 1))
        if name in _DROPPED and not closes:
            found = _DROPPED[name].search(self._page, end)
            return found.start() if found is not None else len(self._page)
        return end

    def _end_of_tag(self, at: int) -> int:
        while (stop := _STOP.search(self._page, at)) is not None:
            if stop[1] is None:
                return stop.end()
            at = self._page.find(stop[1], stop.end()) + 1
            if not at:
                break
        return len(self._page)

    def _words(self, start: int, end: int) -> None:
        for at in range(start, end, _PIECE):
            text = self._page[at : min(end, at + _PIECE)]
            self._flow.words(_unescaped(text), as_it_is=self._verbatim > 0)


def _unescaped(text: str) -> str:
    try:
        return unescape(text)
    except ValueError:  # a character's number has thousands of digits
        return text
