"""The frame of a plain word, read strictly and fast: nearly all that a model ever sends. Pure.

Whatever has a field that is not listed here, or one that says anything else, is no plain word; it is read by
those who read everything.
"""

from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

_Nothing: TypeAlias = Literal[""] | None


class _Delta(Struct, forbid_unknown_fields=True):
    content: str
    role: str | None = None
    refusal: _Nothing = None
    reasoning: _Nothing = None
    reasoning_content: _Nothing = None
    tool_calls: None = None
    function_call: None = None
    audio: None = None


class _Choice(Struct, forbid_unknown_fields=True):
    delta: _Delta
    index: Literal[0] = 0
    finish_reason: _Nothing = None
    stop_reason: _Nothing = None
    logprobs: None = None
    token_ids: None = None
    text: None = None
    content_filter_results: dict[str, object] | None = None


class _Frame(Struct, forbid_unknown_fields=True):
    choices: tuple[_Choice]
    id: str | None = None
    object: str | None = None
    created: int | float | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    provider: str | None = None
    obfuscation: str | None = None
    prompt_token_ids: None = None
    usage: None = None


_decode = msgspec.json.Decoder(_Frame).decode


def plain_words(events: list[bytes]) -> list[str]:
    """Return the texts of the events, up to the first that is anything but one line with a plain word."""
    texts: list[str] = []
    try:
        for event in events:
            if event[:5] != b"data:":
                break
            texts += (_decode(event[5:]).choices[0].delta.content,)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return texts
