"""One request's exchanges with llama.cpp: completions, streams, and the tokens they all cost."""

import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from msgspec import Struct

from clew.core.options import Json
from clew.core.records import Usage
from clew.model.chat import ChatRequest, FinishReason, ModelError
from clew.weights.process import Kind, LlamaProcess, WorkerError

SEED = 42
_TOO_LONG = "exceed_context_size_error"


class Completion(Struct, frozen=True):
    """A short text that llama.cpp wrote in one piece."""

    text: str
    cut: bool
    """It ran into its limit of tokens."""
    first: dict[str, float]
    """Probabilities of the likeliest first tokens, if they were asked for."""


class Dialogue:
    """The exchanges of one request. ``usage`` grows with each; ``finish`` is the last one's reason."""

    def __init__(self, process: LlamaProcess, request: ChatRequest, most_tokens: int) -> None:
        self._process = process
        self._sampling: Json = {"temperature": request.temperature or 0.0, "seed": SEED}
        if request.top_p is not None:
            self._sampling["top_p"] = request.top_p
        self.room = min(request.max_completion_tokens or most_tokens, most_tokens)
        self.usage = Usage()
        self.finish: FinishReason = "stop"

    async def complete(
        self,
        prompt: str,
        tokens: int,
        schema: Json | None = None,
        likeliest: int = 0,
        stop: Sequence[str] = (),
    ) -> Completion:
        """Continue a raw prompt by at most ``tokens`` tokens, greedily.

        Args:
            schema: the text is JSON of this schema, which must be one of :mod:`schema`'s making.
            likeliest: how many of the likeliest first tokens to report.
            stop: the text ends before any of these.

        Raises:
            ModelError: the prompt is too long, or the model failed.
        """
        body: Json = {"prompt": prompt, "max_tokens": tokens, "temperature": 0.0, "seed": SEED}
        if schema is not None:
            body["json_schema"] = schema
        if stop:
            body["stop"] = list(stop)
        if likeliest:
            body["logprobs"] = likeliest
        text = ""
        first: dict[str, float] = {}
        async with aclosing(self._chunks("text", body)) as chunks:
            async for choice in chunks:
                text += choice.get("text") or ""
                first = first or _probabilities(choice)
        return Completion(text, self.finish == "length", first)

    async def chat(self, body: Json) -> AsyncGenerator[Json, None]:
        """Answer chat messages; the ``delta`` objects as llama.cpp sends them.

        Raises:
            ModelError: the prompt is too long, or the model failed.
        """
        body = self._sampling | {"max_tokens": self.room, "stream_options": {"include_usage": True}} | body
        async with aclosing(self._chunks("chat", body)) as chunks:
            async for choice in chunks:
                yield choice.get("delta") or {}

    async def _chunks(self, kind: Kind, body: Json) -> AsyncGenerator[Json, None]:
        """The choices of a streamed answer; its usage and its end are taken note of."""
        # Progress reports give the worker a chance to stop while it still reads the prompt.
        body = body | {"stream": True, "return_progress": True}
        try:
            async with aclosing(self._process.call(kind, body)) as chunks:
                async for chunk in chunks:
                    if "error" in chunk:
                        raise _model_error(chunk["error"])
                    self._count(chunk.get("usage"))
                    for choice in chunk.get("choices") or ():
                        self.finish = _reason(choice.get("finish_reason"))
                        yield choice
        except WorkerError as error:
            raise ModelError("server_error", f"the embedded model failed: {error}") from error

    def _count(self, usage: Json | None) -> None:
        if usage:
            details = usage.get("prompt_tokens_details") or {}
            self.usage += Usage(
                prompt_tokens=usage["prompt_tokens"],
                completion_tokens=usage["completion_tokens"],
                cached_tokens=details.get("cached_tokens", 0),
            )


def _reason(told: str | None) -> FinishReason:
    return "length" if told == "length" else "tool_calls" if told == "tool_calls" else "stop"


def _model_error(error: Json) -> ModelError:
    if error.get("type") == _TOO_LONG:
        return ModelError(
            "invalid_prompt",
            f"the request has {error['n_prompt_tokens']} tokens; the embedded model takes {error['n_ctx']}",
        )
    return ModelError("server_error", f"the embedded model refused: {str(error.get('message'))[:300]}")


def _probabilities(choice: Json) -> dict[str, float]:
    content = (choice.get("logprobs") or {}).get("content") or []
    likely = content[0]["top_logprobs"] if content else []
    # Two tokens may look the same once they are text (pieces of a character): add them up.
    found: dict[str, float] = {}
    for entry in likely:
        found[entry["token"]] = found.get(entry["token"], 0.0) + math.exp(entry["logprob"])
    return found


def log_odds(first: dict[str, float], yes: Sequence[str], no: Sequence[str] | None = None) -> float:
    """Natural log-odds that the first token begins with one of ``yes``.

    Args:
        no: against tokens that begin with one of these; None: against all others.
    """
    least = min(first.values(), default=0.0) or 1e-9
    for_it = sum(p for token, p in first.items() if token.lstrip().startswith(tuple(yes)))
    if no is None:
        against = 1.0 - for_it
    else:
        against = sum(p for token, p in first.items() if token.lstrip().startswith(tuple(no)))
    # A token that isn't among the likeliest is at most as likely as the last of them.
    return math.log(max(for_it, least)) - math.log(max(against, least))
