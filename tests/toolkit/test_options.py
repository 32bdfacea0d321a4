"""The toolkit stands alone, so its lists of options are its own: they name what the server takes."""

from typing import get_type_hints

from clew.core.options import Sampling
from clew.toolkit.service import AgentOptions, RunOptions, SamplingOptions
from clew.wire import requests

STREAMED = {"stream"}
"""Said by the method that is called."""


def test_sampling_options_are_the_servers() -> None:
    assert set(get_type_hints(SamplingOptions)) == set(Sampling.__struct_fields__)


def test_an_agents_options_are_those_of_the_request() -> None:
    assert set(get_type_hints(AgentOptions)) == set(requests.CreateAgent.__struct_fields__) - {"model"}


def test_a_runs_options_are_those_of_the_request() -> None:
    fields = set(requests.CreateRun.__struct_fields__) - {"assistant_id"} - STREAMED
    assert set(get_type_hints(RunOptions)) == fields


def test_what_all_derive_from_the_one_declaration_is_in_each() -> None:
    from clew.core.records import Agent, RunConfig
    from clew.model.chat import ChatRequest
    from clew.wire.objects import AgentObject, RunObject

    for kind in (
        Agent,
        RunConfig,
        ChatRequest,
        requests.CreateAgent,
        requests.CreateRun,
        AgentObject,
        RunObject,
    ):
        assert set(Sampling.__struct_fields__) <= set(kind.__struct_fields__), kind
