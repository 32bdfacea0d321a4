"""What a tool gave is data from outside: it goes to a model, a terminal and a log. Clean it first.

All patterns are linear in the text's length, and so is every function here.
"""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

MASK = "[hidden]"

_ESCAPES = re.compile(
    r"""
      (?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?      # OSC: titles, links, the clipboard
    | (?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c]*(?:\x1b\\|\x9c)?  # DCS, SOS, PM, APC
    | (?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?                          # CSI: colours, cursor
    | \x1b[ -/]*[0-~]?                                           # all the others
    """,
    re.VERBOSE,
)
"""Control sequences as ECMA-48 defines them; unfinished ones count."""

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and what makes text show in another order than it is in; marks of direction stay."""

_SURROGATES = re.compile(r"[\ud800-\udfff]")

_KNOWN_SECRETS = re.compile(
    r"""
      (?<![\w-])(?:
          sk-[\w-]{20,}                                    # OpenAI
        | clew_[\w-]{43}                                   # Clew
        | gh[pousr]_[A-Za-z0-9]{36,}                       # GitHub
        | xox[abprs]-[\w-]{10,}                            # Slack
        | AKIA[0-9A-Z]{16}                                 # AWS
        | eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}            # JSON web tokens
        | Bearer[ ]+[\w.~+/-]{16,}=*
        | AccountKey=[\w+/=]{40,}                          # Azure storage
      )
    | -----BEGIN[ ][A-Z ]{0,40}PRIVATE[ ]KEY-----[^-]*(?:-----END[ ][A-Z ]{0,40}PRIVATE[ ]KEY-----)?
    """,
    re.VERBOSE | re.ASCII,
)

_SHORTEST_SECRET = 4
_HEAD_SHARE = 0.7


def clean(text: str) -> str:
    """Return ``text`` without escape sequences, control characters and broken Unicode.

    Newlines and tabs stay; a carriage return before a newline goes, any other becomes a newline.
    """
    text = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text))


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """Return ``text`` with ``secrets``, and what looks like a key or token, replaced by ``[hidden]``.

    ``secrets`` should come from :func:`forms`, longest first.
    """
    for secret in secrets:
        text = text.replace(secret, MASK)
    return _KNOWN_SECRETS.sub(MASK, text)


def forms(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return the forms in which secrets appear in text (plain, in JSON, in a URL), longest first.

    Raises:
        ValueError: a secret is so short that hiding it would hide ordinary text.
    """
    found: set[str] = set()
    for secret in secrets:
        if len(secret) < _SHORTEST_SECRET:
            raise ValueError(f"a secret must have at least {_SHORTEST_SECRET} characters to be masked")
        found |= {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
        found |= {quote(secret, safe=""), quote(secret)}
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def cut(text: str, limit: int) -> tuple[str, int]:
    """Return ``text`` with at most ``limit`` characters, and how many of it are missing.

    What is kept is the beginning and the end, with a note between them that says how much was cut.
    """
    if len(text) <= limit:
        return text, 0
    # the note's length depends on the number in it, which never has more digits than this one
    room = max(0, limit - len(_note(len(text))))
    head = int(room * _HEAD_SHARE)
    tail = room - head
    missing = len(text) - room
    note = _note(missing)
    kept = text[:head] + note + (text[-tail:] if tail else "")
    return kept[:limit], missing


def _note(count: int) -> str:
    return f"\n[... {count} characters cut ...]\n"
