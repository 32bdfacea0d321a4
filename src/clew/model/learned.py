"""What was learned of each model of an endpoint, from its refusals and its counts. Kept in memory."""

from clew.model.endpoint import Endpoint
from clew.model.quirks import Quirks

_LEAST = 64
"""Tokens of context below which no refusal is believed."""

_MARGIN = 1.1
"""What a prompt may have more than estimated, if the answer is given the rest of the context."""

_KEPT = 1_000
"""Models of an endpoint of which something is kept; what was longest not asked for goes first."""

_SURE = 200
"""Tokens from which on a count is compared with the estimate of it."""

_MOST_PER_ESTIMATE = 4.0
"""Tokens that are counted for one of an estimate, which is four bytes: a token for every byte."""


class Known:
    """What is known of one model of an endpoint.

    Attributes:
        quirks: what is done differently for it.
        hides_thoughts: whether reasoning in tags is kept out of its messages.
        context_tokens: the most tokens that prompt and answer may have together, as prompts estimate them;
            None if unknown.
    """

    def __init__(self, quirks: Quirks, context_tokens: int | None, *, hides_thoughts: bool = False) -> None:
        self.quirks, self.hides_thoughts = quirks, hides_thoughts
        self._limit = context_tokens
        self._limits = [] if context_tokens is None else [context_tokens]
        """What its owner and its refusals say of the context, in the endpoint's own tokens."""
        self._per_estimate = 1.0
        self._learned_limit: int | None = None
        self._guessed = False
        """Whether the limit was not told, but follows from what was refused."""

    @property
    def context_tokens(self) -> int | None:
        """The context, in tokens as prompts estimate them."""
        return int(min(self._limits) / self._per_estimate) if self._limits else None

    @property
    def learned_context(self) -> int | None:
        """The context that a refusal has told of, in the endpoint's own tokens."""
        return self._learned_limit

    def counted(self, tokens: int, estimated: int) -> None:
        """Compare what the endpoint has counted with what was estimated; what can't be is not believed."""
        context = min(self._limits, default=tokens)
        if _SURE <= tokens <= context and estimated >= _SURE:
            self._per_estimate = _ratio(min(tokens / estimated, _MOST_PER_ESTIMATE))

    def fitted(self, answer: int, estimated: int) -> int:
        """Return the most tokens of an answer, of those it may have, that the context has room for."""
        room = [int(limit - _MARGIN * estimated * self._per_estimate) for limit in self._limits]
        return max(min(answer, _LEAST), min((answer, *room)))

    def too_many(self, limit: int | None, given: int | None, estimated: int, answer: int | None) -> bool:
        """Learn from a refusal of a prompt that was estimated at so many tokens.

        Returns:
            Whether the prompt fits: it is the answer that may be too long.
        """
        before = None if answer is None else self.fitted(answer, estimated)
        if given is not None and estimated > 0:
            self._per_estimate = _ratio(given / estimated)
        if limit is not None and limit >= _LEAST:
            self._guessed = False
            self._learn(limit)
        if answer is not None and before is not None and _LEAST < self.fitted(answer, estimated) < before:
            return True
        context = self.context_tokens
        if context is None or (self._guessed and given is None and context >= estimated):
            self._guessed = True
            self._learn(max(_LEAST, int(estimated * self._per_estimate) // 2))
        elif given is None and context >= estimated:  # it counts more, and doesn't say how much
            self._per_estimate = _ratio(context * self._per_estimate / max(1.0, 0.6 * estimated))
        return False

    def _learn(self, limit: int) -> None:
        self._learned_limit = limit
        self._limits = [limit] if self._limit is None else [self._limit, limit]

    def taught(self, quirks: Quirks) -> None:
        """Do it so from now on."""
        self.quirks = quirks


class Learned:
    """What is known of the models of one endpoint, by their names."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint, self._start = endpoint, endpoint.quirks
        self._models: dict[str, Known] = {}

    def of(self, model: str) -> Known:
        """Return what is known of a model."""
        known = self._models.pop(model, None)
        if known is None:
            if len(self._models) >= _KEPT:
                self._models.pop(next(iter(self._models)))
            known = Known(
                self._start,
                self._endpoint.context_tokens,
                hides_thoughts=self._endpoint.hides_thoughts(model),
            )
        self._models[model] = known
        return known

    def context_of(self, model: str) -> int | None:
        """Return the context that a refusal has told of, in the endpoint's own tokens, if one has."""
        known = self._models.get(model)
        return None if known is None else known.learned_context

    def lessons(self) -> dict[str, tuple[Quirks, int | None]]:
        """Return what differs from what the endpoint's owner said, by model."""
        return {
            name: (known.quirks, known.learned_context)
            for name, known in self._models.items()
            if known.quirks != self._start or known.learned_context is not None
        }


def _ratio(tokens_per_estimate: float) -> float:
    """Return how many tokens one of an estimate may be; an estimate that is too high is taken as it is."""
    return min(16.0, max(1.0, tokens_per_estimate))


def settings_for(quirks: Quirks, start: Quirks) -> dict[str, object]:
    """Return the settings that say what was learned, as they stand in an endpoint's table."""
    found = {
        name: getattr(quirks, name)
        for name in Quirks.__struct_fields__
        if getattr(quirks, name) != getattr(start, name)
    }
    if "drop" in found:
        found["drop"] = sorted(quirks.drop)
    return found
