"""How an answer ended, read from whatever word a server has for it (finish_reason, stop_reason). Pure."""

import re
from enum import StrEnum
from typing import Any


class Ending(StrEnum):
    """What a word for the end of an answer means."""

    WHOLE = "whole"
    LENGTH = "length"
    FILTERED = "filtered"
    BROKEN = "broken"
    UNKNOWN = "unknown"


_NAMED = {
    Ending.WHOLE: (
        "stop", "end_turn", "eos", "eos_token", "tool_use", "tool_call", "tool_calls", "function_call",
        "stop_sequence", "end", "ended", "done", "finished", "complete", "completed", "success", "normal",
        "pause_turn", "end_of_text", "end_of_turn", "eot", "stop_token", "stopped", "halt",
    ),
    Ending.LENGTH: ("length", "model_length", "context_window", "max_new_tokens", "limit", "truncated"),
    Ending.FILTERED: ("spii", "language", "refusal", "refused", "image_safety"),
    Ending.BROKEN: ("other_error", "unexpected_tool_call", "too_many_tool_calls", "eof", "oom"),
}  # fmt: skip

_BY_WORD = {word: ending for ending, words in _NAMED.items() for word in words}

# What a word that is not listed contains; the first that matches says.
_BY_PART = (
    (Ending.BROKEN, re.compile(
        "err|abort|cancel|fail|malformed|invalid|insufficient|time_?out|interrupt|overload|unavailable|"
        "exception|network|disconnect|preempt|killed|crash|broken|exhaust|exceeded_quota|rate_limit"
    )),
    (Ending.LENGTH, re.compile("length|max|token_limit|context|truncat|too_long|budget")),
    (Ending.FILTERED, re.compile(
        "filter|safety|unsafe|recitation|sensitiv|block|prohibit|policy|moderat|guardrail|violat|harm|"
        "copyright|flagged|censor|risk"
    )),
    (Ending.WHOLE, re.compile("^stop|^eos|^end_|tool|function")),
)  # fmt: skip

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NO_WORD = re.compile(r"[^a-z0-9]+")
_LONGEST = 100


def word_of(reason: Any) -> str:
    """Return the word in a finish reason; "" for what says nothing."""
    if reason is None:
        return ""
    if isinstance(reason, str) and reason in _BY_WORD:
        return reason
    if isinstance(reason, dict):
        reason = reason.get("type") or reason.get("reason")
    if not isinstance(reason, str):
        return ""
    word = _NO_WORD.sub("_", _CAMEL.sub("_", reason[:_LONGEST]).lower()).strip("_")
    return "" if word in ("", "null", "none", "unspecified", "finish_reason_unspecified") else word


def ending_of(word: str) -> Ending:
    """Return what a word of :func:`word_of` means."""
    if (named := _BY_WORD.get(word)) is not None:
        return named
    return next((ending for ending, part in _BY_PART if part.search(word)), Ending.UNKNOWN)
