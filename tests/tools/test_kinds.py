"""What every kind of server-side tool must say of itself, and the names that models are offered."""

import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.core.entries import CallOutput, CallPiece
from clew.core.errors import ToolNotSwitchedOn, TooManyFunctions
from clew.core.records import Call
from clew.core.tools import (
    MOST_TOOLS,
    CalculatorTool,
    ClockTool,
    FunctionDefinition,
    FunctionTool,
    NamedTool,
    ServerTool,
    Tool,
)
from clew.settings import SERVER_TOOLS
from clew.tools.toolbox import KINDS, Toolbox
from clew.wire import calls
from tests.support import store

ALL = Toolbox(KINDS)
DECLARED = {str(kind.__struct_config__.tag): kind for kind in get_args(ServerTool)}
DOCS = Path(__file__).parents[2] / "docs"
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def _function(name: str) -> FunctionTool:
    return FunctionTool(function=FunctionDefinition(name=name))


def test_what_can_be_declared_can_be_run_and_the_other_way_round() -> None:
    assert set(KINDS) == set(DECLARED)
    assert set(SERVER_TOOLS) == set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_says_all_that_the_server_needs_to_know(kind: str) -> None:
    tool = KINDS[kind]
    assert tool.kind == kind
    assert isinstance(tool.repeatable, bool)
    assert 0 < tool.deadline <= 600_000
    offered = tool.functions(DECLARED[kind]())
    assert offered
    for function in offered:
        assert NAME.fullmatch(function.name)
        assert function.description
        assert function.parameters is not None
        assert function.parameters["type"] == "object"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_has_a_shape_on_the_wire_and_a_page(kind: str) -> None:
    shown = calls.shown(store.call(kind=kind, output="noon"))
    assert shown["type"] == kind
    assert kind in shown, "tracing code of azure-ai-agents wants a member named like the kind"
    head = calls.piece(CallPiece("step_1", 0, "call_1", "look", kind=kind))
    assert head is not None
    assert head["delta"]["step_details"]["tool_calls"][0][kind]["output"] is None
    told = calls.output(CallOutput("step_1", "call_1", 0, kind, "noon"))
    assert told is not None
    assert told["delta"]["step_details"]["tool_calls"][0] == {
        "index": 0,
        "type": kind,
        kind: {"output": "noon"},
    }
    whole, pieces = get_args(calls.ToolCall), get_args(get_type_hints(calls.CallPieces)["tool_calls"])[0]
    assert kind in {shape.__struct_config__.tag for shape in whole}, "the document describes its calls"
    assert kind in {shape.__struct_config__.tag for shape in get_args(pieces)}, "and their pieces"
    assert kind in get_args(get_type_hints(NamedTool)["type"]), "a run may be told to call it"
    assert f"`{kind}`" in (DOCS / "tools.md").read_text(encoding="utf-8")


def test_a_clients_function_keeps_its_name() -> None:
    tools: list[Tool] = [ClockTool(), _function("clew_clock"), ClockTool()]
    assert list(ALL.offers(tools)) == ["clew_clock_2", "clew_clock_3"]
    config = store.run().config
    names = [each.definition.name for each in ALL.offered(tools)]
    assert names == ["clew_clock_2", "clew_clock_3"]
    assert config.offers == {}


@given(
    st.lists(
        st.one_of(
            st.just(ClockTool()),
            st.just(CalculatorTool()),
            st.sampled_from(["clew_clock", "clew_clock_2", "clew_calculator", "a" * 64]).map(_function),
        ),
        max_size=20,
    )
)
def test_names_are_unique_stable_and_fit_every_provider(tools: list[Tool]) -> None:
    names = [each.definition.name for each in ALL.offered(tools)]
    clients = {tool.function.name for tool in tools if isinstance(tool, FunctionTool)}
    assert len({*names, *clients}) == len(names) + len(clients)
    assert all(NAME.fullmatch(name) for name in names)
    assert names == [each.definition.name for each in ALL.offered(list(tools))]


def test_what_is_switched_off_is_refused_by_name() -> None:
    with pytest.raises(ToolNotSwitchedOn) as off:
        Toolbox({}).check([_function("look"), CalculatorTool()])
    assert off.value.kind == "clew_calculator"


def test_more_functions_than_a_model_takes_are_refused_with_the_count() -> None:
    tools: list[Tool] = [_function(f"f{number}") for number in range(MOST_TOOLS - 1)]
    ALL.check([*tools, ClockTool()])
    with pytest.raises(TooManyFunctions) as many:
        ALL.check([*tools, ClockTool(), CalculatorTool()])
    assert many.value.count == MOST_TOOLS + 1


def test_an_approval_is_asked_for_only_where_the_tool_says_so() -> None:
    tools: list[Tool] = [
        ClockTool(require_approval="always"),
        CalculatorTool(require_approval="never"),
        ClockTool(),
    ]
    assert [offer.approval for offer in ALL.offers(tools).values()] == [True, False, False]


def test_a_call_of_a_function_is_shown_as_both_services_show_it() -> None:
    call: Call = store.call(name="look", arguments='{"at": "it"}', output="a wall")
    shown = calls.shown(call)
    assert (shown.id, shown.function.name, shown.function.output) == ("call_1", "look", "a wall")
