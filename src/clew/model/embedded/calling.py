"""How a very small model calls tools: a gate, one constrained call at a time, a check that each call is
about the conversation. The measured reasons are in docs/embedded-model.md."""

import json
from collections.abc import Sequence

from msgspec import Struct

from clew.core.options import Json
from clew.daemons import in_daemon_thread
from clew.model.chat import ModelError
from clew.model.embedded import prompts
from clew.model.embedded.dialogue import Dialogue, log_odds
from clew.model.embedded.grounding import is_grounded
from clew.model.embedded.profiles import Profile
from clew.model.embedded.schema import TooManyPartsError, call_schema, parameters_of

MOST_CALLS = 4
_CALL_TOKENS = 512
_LIKELIEST = 40
_FALLBACK_ARGUMENTS: Json = {"type": "object"}


class Call(Struct, frozen=True):
    """A function call; ``arguments`` is JSON of an object."""

    name: str
    arguments: str


class Chooser:
    """Chooses calls of some tools for one request."""

    def __init__(self, dialogue: Dialogue, profile: Profile, tools: Sequence[Json]) -> None:
        self._dialogue, self._profile, self._tools = dialogue, profile, list(tools)
        self._by_name = {tool["function"]["name"]: tool for tool in self._tools}
        self._parameters: dict[str, Json] = {}

    async def wants_call(self, last: str) -> bool:
        """Whether the last user message asks for a tool."""
        return self._profile.gate is not None and await self.gate(last) > self._profile.gate

    async def gate(self, last: str) -> float:
        """The log-odds that the model begins a call when it sees nothing but this message."""
        prompt = prompts.gate_prompt(self._tools, last)
        return log_odds(
            (await self._dialogue.complete(prompt, 1, likeliest=_LIKELIEST)).first, prompts.CALL_OPENINGS
        )

    async def write(self, users: Sequence[str], most: int = MOST_CALLS, forced: bool = False) -> list[Call]:
        """The calls for what the user said.

        Args:
            users: what the user said, oldest first.
            most: at most so many calls.
            forced: keep calls that share nothing with the conversation.

        Raises:
            ModelError: the tools' schemas are too large, the prompt is too long, or the model failed.
        """
        self._parameters = self._parameters or await self._simplified()
        written: list[str] = []
        kept: list[Call] = []
        while len(written) < most:
            text = await self._next(users, written)
            call = self._parse(text)
            if call is None or text in written:
                break
            written.append(text)
            kept.append(call)
            if not self._left(written) or len(written) == most or not await self._goes_on(users, written):
                break
        return kept if forced else self._about(kept, users)

    async def _simplified(self) -> dict[str, Json]:
        try:
            return await in_daemon_thread(parameters_of, self._tools)
        except TooManyPartsError as error:
            raise ModelError("invalid_prompt", f"the tools' parameters are too large: {error}") from error

    async def _next(self, users: Sequence[str], written: Sequence[str]) -> str:
        prompt = prompts.calls_prompt(self._tools, users, written)
        tokens = min(_CALL_TOKENS, self._dialogue.room)
        left = {tool["function"]["name"] for tool in self._left(written)}
        schemas = {name: schema for name, schema in self._parameters.items() if name in left}
        completion = await self._dialogue.complete(prompt, tokens, call_schema(schemas))
        if self._parse(completion.text) is not None or completion.cut:
            return completion.text
        # The grammar engine ignored a schema it could not compile: settle for any arguments.
        loose = call_schema(dict.fromkeys(schemas, _FALLBACK_ARGUMENTS))
        return (await self._dialogue.complete(prompt, tokens, loose)).text

    def _left(self, written: Sequence[str]) -> list[Json]:
        """The tools that may be called yet: one that takes no arguments is of no use twice."""
        spent = {
            call.name for call in map(self._parse, written) if call is not None and call.arguments == "{}"
        }
        return [tool for tool in self._tools if tool["function"]["name"] not in spent]

    async def _goes_on(self, users: Sequence[str], written: Sequence[str]) -> bool:
        return await self.more(users, written) > self._profile.more

    async def more(self, users: Sequence[str], written: Sequence[str]) -> float:
        """The log-odds of a comma against the closing bracket after the calls ``written``."""
        prompt = prompts.after_calls_prompt(self._tools, users, written)
        completion = await self._dialogue.complete(prompt, 1, likeliest=_LIKELIEST)
        return log_odds(completion.first, (",",), ("]",))

    def _parse(self, text: str) -> Call | None:
        try:
            value = json.loads(text)
            name, arguments = value["name"], value["arguments"]
        except (ValueError, TypeError, KeyError):
            return None
        if name not in self._by_name or not isinstance(arguments, dict):
            return None
        return Call(name, json.dumps(arguments, ensure_ascii=False))

    def _about(self, calls: list[Call], users: Sequence[str]) -> list[Call]:
        """The calls that share something with the last message, or else with an earlier one: asked
        "And in Madrid?", a small model repeats the call for Paris too."""
        for said in (users[-1], "\n".join(users)):
            kept = [c for c in calls if is_grounded(json.loads(c.arguments), self._parameters[c.name], said)]
            if kept:
                return kept
        return []
