"""Tools: what the model is told of them, what it may send, and what comes out, whatever happens."""

import datetime
import enum
import json
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import anyio
import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from clew.toolkit import ProposedCall, ToolExecutor, ToolResult, calculate, clock_tool, tool
from clew.toolkit.errors import (
    ToolDefinitionError,
    ToolFailed,
    ToolInputError,
    ToolOutputInvalid,
)
from clew.toolkit.records import CalledFunction, ToolCall
from clew.toolkit.tools.results import check_outputs
from tests.support.clock import ManualClock


def call(name: str, arguments: object = None, id: str = "call_1") -> ToolCall:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    return ToolCall(id=id, function=CalledFunction(name=name, arguments=text))


def one(tools: ToolExecutor, name: str, arguments: object = None) -> ToolResult:
    (result,) = tools.execute([call(name, arguments)])
    return result


def error_in(result: ToolResult) -> str:
    data = json.loads(result.output)
    assert list(data) == ["error"]
    return str(data["error"])


# --- what the model is told ------------------------------------------------------------------------


class Unit(enum.StrEnum):
    CELSIUS = "celsius"
    FAHRENHEIT = "fahrenheit"


class Place(BaseModel):
    city: str
    country: str = "NO"


def forecast(
    place: Place,
    unit: Unit = Unit.CELSIUS,
    days: Annotated[int, Field(ge=1, le=7)] = 1,
    when: datetime.date | None = None,
    schema: Literal["short", "long"] = "short",
) -> str:
    """Look up the weather.

    Only for big cities.

    Args:
        place: Where,
            as exactly as known.
        unit: Degrees.

    Returns:
        Text.
    """
    return f"{type(place).__name__} {place.city} {unit!r} {days} {when!r} {schema}"


def test_hints_and_docstring_become_the_definition() -> None:
    definition = tool(forecast).definition["function"]
    assert definition["name"] == "forecast"
    assert definition["description"] == "Look up the weather.\n\nOnly for big cities."
    schema = definition["parameters"]
    assert schema["required"] == ["place"]
    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == ["place", "unit", "days", "when", "schema"]
    assert schema["properties"]["unit"]["description"] == "Degrees."
    assert "Where, as exactly as known." in json.dumps(schema["properties"]["place"])
    assert schema["properties"]["days"]["maximum"] == 7
    assert "title" not in json.dumps(schema)
    jsonschema_rs.validator_for(schema).validate({"place": {"city": "Oslo"}, "days": 2})


def test_arguments_arrive_as_the_types_that_were_asked_for() -> None:
    tools = ToolExecutor([forecast])
    given = {"place": {"city": "Oslo"}, "unit": "fahrenheit", "when": "2026-11-22"}
    result = one(tools, "forecast", given)
    assert result.output == "Place Oslo <Unit.FAHRENHEIT: 'fahrenheit'> 1 datetime.date(2026, 11, 22) short"


def test_numpy_and_sphinx_docstrings_are_understood() -> None:
    def numpy_style(x: int) -> int:
        """Double.

        Parameters
        ----------
        x : int
            The number.
        """
        return 2 * x

    def sphinx_style(x: int) -> int:
        """Double.

        :param x: The number.
        """
        return 2 * x

    for function in (numpy_style, sphinx_style):
        made = tool(function)
        assert made.description == "Double."
        assert made.arguments.schema["properties"]["x"]["description"] == "The number."


def test_a_property_called_title_survives() -> None:
    def book(title: str, properties: dict[str, str] | None = None) -> str:
        return title

    assert list(tool(book).arguments.schema["properties"]) == ["title", "properties"]


def test_what_cannot_be_called_by_name_is_no_tool() -> None:
    def positional(x: int, /) -> int:
        return x

    def variadic(*numbers: int) -> int:
        return sum(numbers)

    def unknown_type(x: threading.Lock) -> None: ...

    for function in (positional, variadic, unknown_type):
        with pytest.raises(ToolDefinitionError):
            tool(function)
    for name in ("", "with space", "x" * 65):
        with pytest.raises(ToolDefinitionError):
            tool(calculate, name=name or " ")


def test_two_tools_cannot_have_one_name() -> None:
    tools = ToolExecutor([calculate])
    with pytest.raises(ToolDefinitionError, match="already"):
        tools.add(calculate)


# --- arguments -------------------------------------------------------------------------------------


def test_wrong_arguments_are_told_to_the_model_and_nothing_runs() -> None:
    ran: list[object] = []
    tools = ToolExecutor()

    @tools.tool()
    def pay(amount: int, to: str) -> None:
        ran.append(amount)

    for text in (
        '{"amount": "much", "to": "hunter2-secret-value"}',
        '{"amount": 1}',
        '{"amount": 1, "to": "x", "force": true}',
        "[1]",
        "not json",
        '{"amount": 1',
        "[" * 100_000,
    ):
        result = one(tools, "pay", text)
        assert result.outcome == "invalid"
        assert "arguments" in error_in(result)
        assert "hunter2" not in result.output
    assert ran == []
    assert "amount: Input should be a valid integer" in error_in(one(tools, "pay", '{"amount": "much"}'))


def test_no_arguments_at_all_are_an_empty_object() -> None:
    tools = ToolExecutor([clock_tool(ManualClock(1_764_000_000_000))])
    assert one(tools, "current_time", "").output == "Monday, 24 November 2025, 16:00:00 UTC"


def test_a_given_schema_is_checked_without_repeating_values() -> None:
    schema = {
        "type": "object",
        "properties": {"pin": {"type": "string", "pattern": "^[0-9]{4}$"}, "n": {"maximum": 3}},
        "required": ["pin"],
    }
    tools = ToolExecutor([tool(lambda pin, n=0: f"ok {n}", name="check", parameters=schema)])
    assert tools.definitions[0]["function"]["parameters"] == schema
    assert one(tools, "check", {"pin": "1234", "n": 2}).output == "ok 2"
    wrong = one(tools, "check", {"pin": "secret-pin", "n": 9})
    assert wrong.outcome == "invalid"
    assert "secret-pin" not in wrong.output
    assert "pin:" in error_in(wrong)
    assert "n:" in error_in(wrong)


def test_a_schema_reads_no_files(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"type": "string"}', encoding="utf-8")
    reference = (tmp_path / "schema.json").as_uri()
    with pytest.raises(ToolDefinitionError):
        tool(calculate, parameters={"properties": {"x": {"$ref": reference}}})


def test_a_schema_asks_no_servers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        reference = f"http://127.0.0.1:{listener.getsockname()[1]}/schema"
        with pytest.raises(ToolDefinitionError):
            tool(calculate, parameters={"properties": {"x": {"$ref": reference}}})
        with pytest.raises(TimeoutError):
            listener.accept()


def test_a_hostile_pattern_takes_no_time() -> None:
    schema = {"properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}}
    tools = ToolExecutor([tool(lambda x: x, name="match", parameters=schema)])
    assert one(tools, "match", {"x": "a" * 50_000 + "!"}).outcome == "invalid"


# --- what comes out --------------------------------------------------------------------------------


def test_outputs_are_text_or_json() -> None:
    values: list[Any] = ["plain", {"a": [1, None]}, Place(city="Oslo"), None, b"bytes\xff", float("nan"), 5]
    tools = ToolExecutor([tool(lambda n: values[n], name="give", parameters={})])
    outputs = [one(tools, "give", {"n": n}).output for n in range(len(values))]
    assert outputs == [
        "plain",
        '{"a":[1,null]}',
        '{"city":"Oslo","country":"NO"}',
        "null",
        "bytes\ufffd",
        "null",
        "5",
    ]


def test_what_is_no_json_is_an_error() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for value in (threading.Lock(), circle):
        result = one(ToolExecutor([tool(lambda v=value: v, name="give", parameters={})]), "give")
        assert result.outcome == "failed"
        assert "can't be written as JSON" in error_in(result)


def test_outputs_are_cleaned_masked_and_cut() -> None:
    noisy = "\x1b[31m" + "x" * 1000 + "\x00 the password is swordfish"
    tools = ToolExecutor([tool(lambda: noisy, name="give")], max_output=200, secrets=["swordfish"])
    result = one(tools, "give")
    assert 195 <= len(result.output) <= 200
    assert result.cut > 800
    assert result.output.endswith("the password is [hidden]")
    assert "\x1b" not in result.output


def test_a_secret_at_the_cut_is_hidden_before_it_is_cut() -> None:
    for shift in range(40):
        text = "x" * (120 + shift) + "swordfish" + "y" * 300
        tools = ToolExecutor([tool(lambda t=text: t, name="give", parameters={})], max_output=200)
        tools_with = ToolExecutor(
            [tool(lambda t=text: t, name="give", parameters={})], max_output=200, secrets=["swordfish"]
        )
        assert "sword" not in one(tools_with, "give").output
        assert one(tools, "give").cut > 0


@given(st.lists(st.sampled_from(["ok", "raise", "input", "final", "exit", "missing", "invalid"]), max_size=6))
def test_every_call_gets_exactly_one_output(kinds: list[str]) -> None:
    def act(kind: str) -> str:
        if kind == "raise":
            raise ValueError("private detail")
        if kind == "input":
            raise ToolInputError("Name a bigger city.")
        if kind == "final":
            raise ToolFailed("The station is closed.")
        if kind == "exit":
            raise SystemExit(3)
        return "fine"

    calls = []
    for number, kind in enumerate(kinds):
        arguments: object = {"kind": kind} if kind != "invalid" else {"what": 1}
        calls.append(call("act" if kind != "missing" else "nothing", arguments, f"call_{number}"))
    results = ToolExecutor([act]).execute(calls)
    assert [result.call_id for result in results] == [each.id for each in calls]
    check_outputs(calls, [result.to_wire() for result in results])
    expected = {"raise": "failed", "input": "invalid", "final": "failed", "exit": "failed"}
    expected |= {"missing": "unknown", "ok": "ok", "invalid": "invalid"}
    assert [result.outcome for result in results] == [expected[kind] for kind in kinds]
    assert all("private" not in result.output for result in results)


def test_an_exceptions_text_is_shown_only_where_asked_for() -> None:
    def act() -> None:
        raise ValueError("no such table")

    assert error_in(one(ToolExecutor([act]), "act")) == "act failed with ValueError."
    shown = ToolExecutor([act], reveal_errors=True)
    assert error_in(one(shown, "act")) == "act failed with ValueError: no such table."
    assert isinstance(one(shown, "act").error, ValueError)


def test_a_vendors_calls_are_taken_as_they_are() -> None:
    vendors = SimpleNamespace(
        id="call_9",
        type="function",
        function=SimpleNamespace(name="calculate", arguments='{"expression":"6*7"}'),
    )
    plain = {"id": "call_8", "function": {"name": "calculate", "arguments": '{"expression":"1+1"}'}}
    results = ToolExecutor([calculate]).execute([vendors, plain])
    assert [result.to_wire() for result in results] == [
        {"tool_call_id": "call_9", "output": "42"},
        {"tool_call_id": "call_8", "output": "2"},
    ]


# --- time ------------------------------------------------------------------------------------------


def test_a_call_that_takes_too_long_is_given_up() -> None:
    released, cancelled = threading.Event(), threading.Event()

    def stuck() -> None:
        released.wait(30)

    async def stuck_too() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    tools = ToolExecutor([tool(stuck, timeout=0.05), tool(stuck_too, timeout=0.05)])
    results = tools.execute([call("stuck"), call("stuck_too")])
    released.set()
    assert [result.outcome for result in results] == ["timeout", "timeout"]
    assert cancelled.wait(5)
    assert "longer than 0.05 seconds" in error_in(results[0])


def test_a_time_out_of_the_tools_own_is_an_ordinary_failure() -> None:
    def ask() -> None:
        raise TimeoutError

    assert one(ToolExecutor([ask]), "ask").outcome == "failed"


class _Meeting:
    """Counts who is inside, and lets nobody out before ``wanted`` are in."""

    def __init__(self, wanted: int) -> None:
        self._condition = threading.Condition()
        self._wanted = wanted
        self.inside = self.most = 0
        self.order: list[int] = []

    def attend(self, number: int) -> None:
        with self._condition:
            self.inside += 1
            self.order.append(number)
            self.most = max(self.most, self.inside)
            self._condition.notify_all()
            assert self._condition.wait_for(lambda: self.most >= self._wanted, 10)
        with self._condition:
            self.inside -= 1


def test_calls_run_at_once_up_to_the_bound() -> None:
    meeting = _Meeting(3)
    tools = ToolExecutor([tool(meeting.attend, name="attend")], parallel=3)
    results = tools.execute([call("attend", {"number": n}, f"call_{n}") for n in range(6)])
    assert all(result.ok for result in results)
    assert meeting.most == 3


def test_one_at_a_time_keeps_the_models_order() -> None:
    meeting = _Meeting(1)
    tools = ToolExecutor([tool(meeting.attend, name="attend")], parallel=1)
    tools.execute([call("attend", {"number": n}, f"call_{n}") for n in range(5)])
    assert meeting.order == [0, 1, 2, 3, 4]
    assert meeting.most == 1


def test_a_sequential_tool_is_alone() -> None:
    inside: set[int] = set()
    seen: list[set[int]] = []
    begun = threading.Event()

    def many(number: int) -> None:
        inside.add(number)
        begun.wait(0.1)  # time enough for the other to come in, if nothing keeps it out
        inside.discard(number)

    def alone(number: int) -> None:
        begun.set()
        seen.append(set(inside))

    tools = ToolExecutor([many, tool(alone, sequential=True)])
    names = ["many", "many", "alone", "many", "alone"]
    results = tools.execute([call(name, {"number": n}, f"call_{n}") for n, name in enumerate(names)])
    assert all(result.ok for result in results)
    assert seen == [set(), set()]


# --- retries ---------------------------------------------------------------------------------------


def test_only_what_is_declared_safe_is_tried_again() -> None:
    tries: list[str] = []

    def flaky(name: str) -> str:
        tries.append(name)
        if tries.count(name) < 3:
            raise OSError("busy")
        return "done"

    tools = ToolExecutor([tool(flaky, safe_to_retry=True), tool(flaky, name="once")])
    result = one(tools, "flaky", {"name": "a"})
    assert (result.output, result.attempts) == ("done", 3)
    result = one(tools, "once", {"name": "b"})
    assert (result.outcome, result.attempts) == ("failed", 1)


def test_what_another_try_cannot_help_is_not_tried_again() -> None:
    tries: list[int] = []

    def act() -> None:
        tries.append(1)
        raise ToolFailed("Closed.")

    assert one(ToolExecutor([tool(act, safe_to_retry=True)]), "act").attempts == 1
    assert tries == [1]


# --- approval --------------------------------------------------------------------------------------


def test_a_person_decides() -> None:
    asked: list[ProposedCall] = []
    paid: list[int] = []

    def approve(proposed: ProposedCall) -> bool:
        asked.append(proposed)
        return bool(proposed.arguments["amount"] < 100)

    tools = ToolExecutor(approve=approve)

    @tools.tool(needs_approval=True)
    def pay(amount: int) -> str:
        paid.append(amount)
        return "paid"

    results = tools.execute([call("pay", {"amount": n}, f"call_{n}") for n in (5, 500)])
    assert [result.outcome for result in results] == ["ok", "refused"]
    assert paid == [5]
    assert [each.arguments["amount"] for each in asked] == [5, 500]
    assert "refused" in error_in(results[1])


@pytest.mark.parametrize("answer", ["yes", 1, None])
def test_only_true_is_a_yes(answer: object) -> None:
    tools = ToolExecutor(
        [tool(lambda: "paid", name="pay", needs_approval=True)],
        approve=lambda _: answer,  # type: ignore[arg-type,return-value]
    )
    assert one(tools, "pay").outcome == "refused"


def test_without_anybody_to_ask_nothing_happens() -> None:
    def broken(_: ProposedCall) -> bool:
        raise EOFError

    for approve in (None, broken):
        tools = ToolExecutor([tool(lambda: "paid", name="pay", needs_approval=True)], approve=approve)
        assert one(tools, "pay").outcome == "refused"


def test_approval_may_be_asynchronous_and_is_not_counted_as_time() -> None:
    async def approve(_: ProposedCall) -> bool:
        await anyio.lowlevel.checkpoint()
        return True

    tools = ToolExecutor([tool(lambda: "paid", name="pay", needs_approval=True)], approve=approve)
    assert one(tools, "pay").output == "paid"


# --- what may be submitted -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outputs", "what"),
    [
        ([("call_a", "x")], "missing"),
        ([("call_a", "x"), ("call_b", "y"), ("call_c", "z")], "unknown"),
        ([("call_a", "x"), ("call_a", "y"), ("call_b", "z")], "doubled"),
        ([("call_a", "x"), ("call_B", "y")], "unknown"),
        ([("call_a", "x"), ("call_b", {"not": "text"})], "not a string"),
        ([("call_a", "x"), ("call_b", "\ud800")], "Unicode"),
        ([("call_a", "x"), ("call_b", "y" * 600_000)], "600000 characters"),
    ],
)
def test_outputs_that_do_not_fit_are_caught(outputs: list[tuple[str, Any]], what: str) -> None:
    calls = [call("f", id="call_a"), call("f", id="call_b")]
    with pytest.raises(ToolOutputInvalid, match=what):
        check_outputs(calls, [{"tool_call_id": id, "output": output} for id, output in outputs])


# --- the two that come with it ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "value"),
    [("25 * 47", "1175"), ("(3 + 4) / 2", "3.5"), ("2 ** 10", "1024"), ("-7 // 2", "-4"), ("10 % 4", "2")],
)
def test_it_calculates(expression: str, value: str) -> None:
    assert calculate(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('id')",
        "(1).__class__",
        "9 ** 9 ** 9",
        "10 ** 100000",
        "'a' * 100",
        "[1] * 5",
        "x + 1",
        "1 / 0",
        "abs(-1)",
        "1 << 1000000000",
        "True",
        "lambda: 1",
        "(1).real",
        "'a'[5]",
        "'1'.zfill(2_000_000_000).find('x')",
        "f'{1:>2000000000}'",
        "-True",
        "1e999",
        "1 == 1",
        "1; 2",
        "(-8) ** 0.5",
        "",
        "1 +" * 200,
        "((((((((((" * 15,
    ],
)
def test_it_does_nothing_but_calculate(expression: str) -> None:
    with pytest.raises(ToolInputError):
        calculate(expression)


def test_the_clock_knows_time_zones() -> None:
    clock = clock_tool(ManualClock(1_764_000_000_000))
    assert clock("Europe/Lisbon") == "Monday, 24 November 2025, 16:00:00 WET"
    for wrong in ("Mars/Olympus", "../../etc/passwd", "/etc/localtime", ""):
        with pytest.raises(ToolInputError):
            clock(wrong)
