"""The tokens that an endpoint says an answer took, whatever it calls and however it writes them. Pure."""

from typing import Any

from msgspec import Struct

from clew.core.options import Json
from clew.core.records import Usage

MOST_TOKENS = 10_000_000
"""Tokens that one call may count: more than any context holds, and a hundred turns of it fit a column."""

_PROMPT = ("prompt_tokens", "input_tokens", "prompt_token_count", "promptTokens", "inputTokens")
_COMPLETION = (
    "completion_tokens", "output_tokens", "candidates_token_count", "completionTokens", "outputTokens",
)  # fmt: skip
_TOTAL = ("total_tokens", "total_token_count", "totalTokens")
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
_REASONING = ("reasoning_tokens", "thoughts_token_count")
_PROMPT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_COMPLETION_DETAILS = ("completion_tokens_details", "output_tokens_details")


class Counted(Struct, frozen=True):
    """What could be read; None is what could not."""

    prompt: int | None
    completion: int | None
    cached: int = 0
    reasoning: int = 0

    def usage(self, estimate: Usage) -> Usage:
        """Return the usage, with what is not known taken from an estimate."""
        prompt = estimate.prompt_tokens if self.prompt is None else self.prompt
        completion = estimate.completion_tokens if self.completion is None else self.completion
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            cached_tokens=min(self.cached, prompt) if self.cached else 0,
            reasoning_tokens=min(self.reasoning, completion) if self.reasoning else 0,
        )


def counted(usage: Any) -> Counted | None:
    """Return what a usage object counts; None if it counts nothing."""
    if not isinstance(usage, dict):
        return None
    if (usual := _usual(usage)) is not None:
        return usual
    prompt, completion = _first(usage, _PROMPT), _first(usage, _COMPLETION)
    total = _first(usage, _TOTAL)
    if total is not None:
        if prompt is None and completion is not None:
            prompt = max(0, total - completion)
        elif completion is None and prompt is not None:
            completion = max(0, total - prompt)
    if not prompt and not completion:
        return None
    cached = _first(usage, _CACHED) or _detail(usage, _PROMPT_DETAILS, _CACHED)
    reasoning = _first(usage, _REASONING) or _detail(usage, _COMPLETION_DETAILS, _REASONING)
    return Counted(prompt or None, completion, cached, reasoning)


def _usual(usage: Json) -> Counted | None:
    """Return what the usual form counts, which needs no reading; None if it is another, or has details."""
    if "prompt_tokens" not in usage or "completion_tokens" not in usage or not usage.keys() <= _USUAL:
        return None
    prompt, completion = usage["prompt_tokens"], usage["completion_tokens"]
    if type(prompt) is not int or type(completion) is not int:
        return None
    if not (0 < prompt <= MOST_TOKENS and 0 < completion <= MOST_TOKENS):
        return None
    return Counted(prompt, completion)


def _detail(usage: Json, places: tuple[str, ...], names: tuple[str, ...]) -> int:
    for place in places:
        if isinstance(details := usage.get(place), dict) and (found := _first(details, names)):
            return found
    return 0


def _first(values: Json, names: tuple[str, ...]) -> int | None:
    for name in names:
        if name in values and (count := _count(values[name])) is not None:
            return count
    return None


def _count(value: Any) -> int | None:
    """Return a count that fits a column; None for what is no number, or below zero."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value[:_LONGEST_NUMBER] if isinstance(value, str) else min(value, MOST_TOKENS))
    except (ValueError, OverflowError):
        return None
    if not number >= 0:  # NaN too
        return None
    return int(min(number, MOST_TOKENS))


_LONGEST_NUMBER = 40
_USUAL = {"prompt_tokens", "completion_tokens", "total_tokens"}
