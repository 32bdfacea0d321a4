"""How endpoints spell the calls of functions in a streamed answer, besides the usual way.

Each function is an oddity: its name is the oddity's, the first line of its docstring what it does.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import count
from typing import Any, TypeAlias

import msgspec

from clew.core.options import Json
from clew.testing.stream import Item, Stream

Entry: TypeAlias = Json
"""One piece of a call: an entry of ``delta.tool_calls``."""


# --- reading and rewriting ----------------------------------------------------------------------------


def choices(stream: Stream) -> Iterator[Json]:
    """Yield the choices of all frames."""
    for frame in stream.frames:
        yield from (each for each in frame.get("choices") or () if isinstance(each, dict))


def deltas(stream: Stream) -> Iterator[Json]:
    """Yield the deltas of all frames."""
    return (choice["delta"] for choice in choices(stream) if "delta" in choice)


def delta_of(item: Item) -> Json:
    """Return the delta of an item; an empty one if it has none."""
    if not isinstance(item, dict) or not item.get("choices"):
        return {}
    delta: Json = item["choices"][0].get("delta") or {}
    return delta


def with_delta(frame: Json, delta: Json) -> Json:
    """Return a frame with another delta."""
    return frame | {"choices": [frame["choices"][0] | {"delta": delta}]}


def entries(stream: Stream) -> Iterator[Entry]:
    """Yield the pieces of all calls."""
    for delta in deltas(stream):
        yield from (entry for entry in delta.get("tool_calls") or () if entry is not None)


def function_of(entry: Entry) -> Json:
    """Return the function of a piece."""
    function: Json = entry.setdefault("function", {})
    return function


def opens(entry: Entry) -> bool:
    """Whether a piece is the first of its call."""
    return bool(function_of(entry).get("name"))


def rewrite(stream: Stream, rewritten: Callable[[Item], Iterable[Item]]) -> None:
    """Replace each item by others."""
    stream.items = [each for item in stream.items for each in rewritten(item)]


def _apart(stream: Stream, parted: Callable[[Entry], Iterable[Entry]]) -> None:
    """Replace each piece of a call by others, each in a frame of its own."""

    def rewritten(item: Item) -> Iterator[Item]:
        delta = delta_of(item)
        if not isinstance(item, dict) or not delta.get("tool_calls"):
            yield item
            return
        for entry in delta["tool_calls"]:
            for each in parted(entry):
                yield with_delta(item, delta | {"tool_calls": [each]})

    rewrite(stream, rewritten)


def whole_calls(stream: Stream) -> list[Entry]:
    """Return the calls, each as one piece."""
    calls: list[Entry] = []
    for entry in entries(stream):
        function = function_of(entry)
        if opens(entry) or not calls:
            calls.append(entry | {"function": {"name": function.get("name", ""), "arguments": ""}})
        calls[-1]["function"]["arguments"] += function.get("arguments") or ""
    return calls


def _replace_calls(stream: Stream, made: Callable[[list[Entry]], Iterable[Json]]) -> None:
    """Replace all frames of calls by frames of the deltas that ``made`` makes of the whole calls."""
    calls, done = whole_calls(stream), False

    def rewritten(item: Item) -> Iterator[Item]:
        nonlocal done
        if not isinstance(item, dict) or "tool_calls" not in delta_of(item):
            yield item
        elif not done:
            done = True
            for delta in made(calls):
                yield with_delta(item, delta)

    rewrite(stream, rewritten)


def _each_call(stream: Stream, changed: Callable[[Entry], object]) -> None:
    """Send each call as one piece, changed."""

    def made(calls: list[Entry]) -> Iterator[Json]:
        for call in calls:
            changed(call)
            yield {"tool_calls": [call]}

    _replace_calls(stream, made)


# --- ids and indexes ----------------------------------------------------------------------------------


def no_ids(stream: Stream) -> None:
    """No call has an id."""
    for entry in entries(stream):
        entry.pop("id", None)


def empty_ids(stream: Stream) -> None:
    """The ids of calls are empty strings."""
    for entry in entries(stream):
        entry["id"] = ""


def same_id(stream: Stream) -> None:
    """All calls have the same id."""
    for entry in filter(opens, entries(stream)):
        entry["id"] = "call_0"


def ids_are_numbers(stream: Stream) -> None:
    """The ids of calls are numbers."""
    for number, entry in enumerate(filter(opens, entries(stream)), 1):
        entry["id"] = number


def fresh_id_everywhere(stream: Stream) -> None:
    """Each piece of a call has another id."""
    for number, entry in enumerate(entries(stream)):
        entry["id"] = f"call_fresh_{number}"


def id_and_name_everywhere(stream: Stream) -> None:
    """Each piece of a call has its id and its name."""
    opening: Entry = {}
    for entry in entries(stream):
        opening = entry if opens(entry) else opening
        entry["id"] = opening.get("id")
        function_of(entry)["name"] = function_of(opening)["name"]


def short_ids(stream: Stream) -> None:
    """The ids of calls are nine letters and digits."""
    for entry in filter(opens, entries(stream)):
        entry["id"] = sha256(str(entry.get("id")).encode()).hexdigest()[:9]


def no_index(stream: Stream) -> None:
    """No piece of a call has an index."""
    for entry in entries(stream):
        entry.pop("index", None)


def every_index_0(stream: Stream) -> None:
    """All calls have the index 0."""
    for entry in entries(stream):
        entry["index"] = 0


def index_from_1(stream: Stream) -> None:
    """The indexes of calls begin with 1."""
    for entry in entries(stream):
        entry["index"] += 1


def index_as_text(stream: Stream) -> None:
    """The index of a call is a string."""
    for entry in entries(stream):
        entry["index"] = str(entry["index"])


def index_as_float(stream: Stream) -> None:
    """The index of a call is a floating-point number."""
    for entry in entries(stream):
        entry["index"] = float(entry["index"])


# --- names --------------------------------------------------------------------------------------------


def name_in_pieces(stream: Stream) -> None:
    """The name of a function comes in two pieces."""

    def parted(entry: Entry) -> Iterator[Entry]:
        if not opens(entry):
            yield entry
            return
        name = function_of(entry)["name"]
        yield entry | {"function": {"name": name[:2], "arguments": ""}}
        yield {"index": entry.get("index"), "function": function_of(entry) | {"name": name[2:]}}

    _apart(stream, parted)


def name_last(stream: Stream) -> None:
    """The name of a function comes after its arguments."""

    def made(calls: list[Entry]) -> Iterator[Json]:
        for call in calls:
            function = call["function"]
            yield {"tool_calls": [call | {"function": {"arguments": function["arguments"]}}]}
            yield {"tool_calls": [{"index": call.get("index"), "function": {"name": function["name"]}}]}

    _replace_calls(stream, made)


def blanks_around_names(stream: Stream) -> None:
    """There is white space around the names of functions."""
    for entry in filter(opens, entries(stream)):
        function_of(entry)["name"] = f" {function_of(entry)['name']}\n"


def empty_names_behind(stream: Stream) -> None:
    """Every further piece of a call has an empty name and a null id."""
    for entry in entries(stream):
        if not opens(entry):
            entry["id"] = None
            function_of(entry)["name"] = ""


# --- arguments ----------------------------------------------------------------------------------------


def arguments_as_objects(stream: Stream) -> None:
    """The arguments of a call are an object, not JSON in a string."""

    def changed(call: Entry) -> None:
        call["function"]["arguments"] = msgspec.json.decode(call["function"]["arguments"] or "{}")

    _each_call(stream, changed)


def empty_object_first(stream: Stream) -> None:
    """A call opens with the arguments ``{}``, and the true ones follow."""
    for entry in filter(opens, entries(stream)):
        function_of(entry)["arguments"] = "{}"


def null_arguments(stream: Stream) -> None:
    """The arguments of a call without any are null."""

    def changed(call: Entry) -> None:
        if call["function"]["arguments"] in ("", "{}"):
            call["function"]["arguments"] = None

    _each_call(stream, changed)


def blank_arguments(stream: Stream) -> None:
    """The arguments of a call without any are an empty string."""

    def changed(call: Entry) -> None:
        if call["function"]["arguments"] == "{}":
            call["function"]["arguments"] = ""

    _each_call(stream, changed)


def no_arguments(stream: Stream) -> None:
    """A call without arguments has no field for them."""

    def changed(call: Entry) -> None:
        if call["function"]["arguments"] in ("", "{}"):
            del call["function"]["arguments"]

    _each_call(stream, changed)


# --- shapes -------------------------------------------------------------------------------------------


def whole_calls_at_once(stream: Stream) -> None:
    """All calls come whole in one frame, without an index."""

    def made(calls: list[Entry]) -> Iterator[Json]:
        yield {"tool_calls": [{k: v for k, v in call.items() if k != "index"} for call in calls]}

    _replace_calls(stream, made)


def woven_calls(stream: Stream) -> None:
    """The pieces of several calls come in turns."""

    def made(calls: list[Entry]) -> Iterator[Json]:
        for call in calls:
            yield {"tool_calls": [call | {"function": call["function"] | {"arguments": ""}}]}
        for at in count():
            pieces = [(call, call["function"]["arguments"][4 * at : 4 * at + 4]) for call in calls]
            if not any(text for _, text in pieces):
                return
            for call, text in pieces:
                if text:
                    yield {"tool_calls": [{"index": call.get("index"), "function": {"arguments": text}}]}

    _replace_calls(stream, made)


def beside_function(stream: Stream) -> None:
    """Name and arguments stand beside ``function``, not inside."""
    for entry in entries(stream):
        entry |= entry.pop("function", {})


def function_call(stream: Stream) -> None:
    """Calls come in the older ``function_call``, one after another."""

    def made(calls: list[Entry]) -> Iterator[Json]:
        for call in calls:
            yield {"function_call": call["function"]}

    had = bool(whole_calls(stream))
    _replace_calls(stream, made)
    for choice in choices(stream) if had else ():
        choice["finish_reason"] = choice["finish_reason"] and "function_call"


def tool_calls_as_an_object(stream: Stream) -> None:
    """``tool_calls`` is one call, not a list of them."""
    for delta in deltas(stream):
        if delta.get("tool_calls"):
            delta["tool_calls"] = delta["tool_calls"][0]


def null_entries(stream: Stream) -> None:
    """There are null entries among the calls, and ``tool_calls`` is null elsewhere."""
    for delta in deltas(stream):
        delta["tool_calls"] = [None, *delta["tool_calls"]] if delta.get("tool_calls") else None


def empty_calls(stream: Stream) -> None:
    """``tool_calls`` is an empty list where there is no call."""
    for delta in deltas(stream):
        delta.setdefault("tool_calls", [])


def no_type(stream: Stream) -> None:
    """Calls have no ``type``."""
    for entry in entries(stream):
        entry.pop("type", None)


def signatures(stream: Stream) -> None:
    """Each call has a thought signature, as Gemini's have."""
    for number, entry in enumerate(filter(opens, entries(stream)), 1):
        entry["extra_content"] = {"google": {"thought_signature": f"c2lnbmF0dXJl{number}"}}


CALLS: tuple[Callable[[Stream], Any], ...] = (
    no_ids, empty_ids, same_id, ids_are_numbers, fresh_id_everywhere, id_and_name_everywhere, short_ids,
    no_index, every_index_0, index_from_1, index_as_text, index_as_float,
    name_in_pieces, name_last, blanks_around_names, empty_names_behind,
    arguments_as_objects, empty_object_first, null_arguments, blank_arguments, no_arguments,
    whole_calls_at_once, woven_calls, beside_function, function_call, tool_calls_as_an_object,
    null_entries, empty_calls, no_type, signatures,
)  # fmt: skip
