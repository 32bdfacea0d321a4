"""The objects that Clew keeps: immutable records, one type a table, and the values they hold."""

from msgspec import Struct


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens of one model call, or the sum over several."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
        )
