"""WordPiece as uncased BERT models want it (google-research/bert, tokenization.py), in linear time.

It is done here, not by llama.cpp, because llama.cpp refuses a text that is too long, where it has to be cut.
"""

import unicodedata
from collections.abc import Iterator, Sequence

_LONGEST_WORD = 100
"""Characters; a longer word is unknown (tokenization.py, max_input_chars_per_word)."""

_SLICE = 1024
"""Characters that are looked at before it is asked whether there is room for more."""

_MOST_CACHED = 20_000
_CJK = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)


class _Plain(dict[int, str]):
    """What a character is to the tokenizer: lower case without accents, or a word of its own, or nothing."""

    def __missing__(self, code: int) -> str:
        plain = "".join(map(_plain, unicodedata.normalize("NFD", chr(code).lower())))
        if len(self) >= _MOST_CACHED:
            self.clear()  # else one odd text would slow down all that come later
        self[code] = plain
        return plain


def _plain(character: str) -> str:
    code, category = ord(character), unicodedata.category(character)
    if character in "\t\n\r" or category == "Zs":
        return " "
    if category == "Mn" or category[0] == "C" or code == 0xFFFD:
        return ""
    # All that ASCII has besides letters and digits counts, such as $ and ^, which Unicode calls symbols.
    punctuation = category[0] == "P" or (code < 0x7F and not character.isalnum())
    if punctuation or any(first <= code <= last for first, last in _CJK):
        return f" {character} "
    return character


class WordPiece:
    """Turns texts into tokens.

    Args:
        vocabulary: the tokens in the order of their ids; what goes on within a word begins with ``##``.

    Raises:
        ValueError: the vocabulary lacks one of the special tokens.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._ids = {token: number for number, token in enumerate(vocabulary)}
        self._longest = max(map(len, vocabulary), default=0)
        self._known = set("".join(vocabulary))
        self._characters = _Plain()
        try:
            self._start, self._end, self._unknown = (self._ids[t] for t in ("[CLS]", "[SEP]", "[UNK]"))
        except KeyError as missing:
            raise ValueError(f"the vocabulary has no {missing}") from None

    def tokens(self, text: str, most: int) -> list[int]:
        """Return the ids of a text's tokens: at most ``most`` (2 or more), between [CLS] and [SEP].

        What is beyond is cut off, as the models' own tokenizer does. Time is linear in the text's length.
        """
        room = most - 2
        pieces: list[int] = []
        for word in self._words(text):
            pieces += self._pieces(word)
            if len(pieces) >= room:
                break
        return [self._start, *pieces[:room], self._end]

    def _words(self, text: str) -> Iterator[str]:
        """Yield words; of one that is too long, the beginning that shows it."""
        begun = ""
        for start in range(0, len(text), _SLICE):
            plain = begun + text[start : start + _SLICE].translate(self._characters)
            words = plain.split()
            begun = words.pop()[: _LONGEST_WORD + 1] if words and not plain[-1].isspace() else ""
            yield from words
        if begun:
            yield begun

    def _pieces(self, word: str) -> list[int]:
        """Return a word's pieces, each the longest that fits; one that can't be put together is unknown."""
        if len(word) > _LONGEST_WORD or not self._known.issuperset(word):
            return [self._unknown]
        found: list[int] = []
        start = 0
        while start < len(word):
            mark = "##" if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                piece = self._ids.get(mark + word[start:end])
                if piece is not None:
                    found.append(piece)
                    start = end
                    break
            else:
                return [self._unknown]
        return found
