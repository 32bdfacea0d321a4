"""Keeps reasoning that an answer begins with, in ``<think>`` tags, out of its message. Pure."""

_TAGS = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]"))

_MOST_HELD = 256
"""Characters that are held back because a tag may still come."""

_KNOWN = ("deepseek-r1", "r1-distill", "qwq", "qwen3", "magistral", "-thinking", "-reasoning", "marco-o1")
"""What the names of models contain that begin their answers so."""


def thinks_aloud(model: str) -> bool:
    """Whether a model is known to begin its answers with reasoning in tags."""
    name = model.lower()
    return any(part in name for part in _KNOWN)


class ThinkFilter:
    """Takes an answer's text in pieces, and gives back what belongs to the message.

    Attributes:
        thoughts: the pieces of the reasoning.
    """

    def __init__(self) -> None:
        self.thoughts: list[str] = []
        self._held = ""
        self._closing: str | None = None
        self._settled = self._trims = False

    def add(self, text: str) -> str:
        """Return what of the text so far is settled and belongs to the message."""
        if self._settled:
            return self._trimmed(text)
        self._held += text
        if self._closing is None:
            self._open()
        if self._closing is not None:
            self._close()
        if not self._settled:
            return ""
        held, self._held = self._held, ""
        return self._trimmed(held)

    def _trimmed(self, text: str) -> str:
        """Return text without the white space that parts it from the reasoning before it."""
        if self._trims:
            text = text.lstrip()
            self._trims = not text
        return text

    def end(self) -> str:
        """Return what was held back and turns out to belong to the message."""
        held, self._held = self._held, ""
        if self._closing is None or self._settled:
            return held
        self.thoughts.append(held)
        return ""

    def _open(self) -> None:
        begins = self._held.lstrip()
        for opening, closing in _TAGS:
            if begins.startswith(opening):
                self._held, self._closing = begins[len(opening) :], closing
                return
        may_come = len(self._held) <= _MOST_HELD and any(opening.startswith(begins) for opening, _ in _TAGS)
        self._settled = not may_come

    def _close(self) -> None:
        assert self._closing is not None
        thought, closing, rest = self._held.partition(self._closing)
        if closing:
            self.thoughts.append(thought)
            self._held, self._settled, self._trims = rest, True, True
            return
        kept = len(self._closing) - 1  # may be the beginning of the closing tag
        self.thoughts.append(self._held[:-kept] if kept else self._held)
        self._held = self._held[-kept:]
