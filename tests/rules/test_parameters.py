"""Rules of what may be sent: resources, tools that are kept, values that are no choices."""

from typing import Any

import pytest

from clew.model.catalogue import one_model
from clew.testing.scripted_model import ScriptedModel
from tests.support.api import Api, Json, RunHandle, function_tool
from tests.support.refusals import Refuses

AZURE = "/api/projects/alpha"


def test_azures_clients_may_send_tool_resources_with_a_run(api: Api, model: ScriptedModel) -> None:
    azure, agent = api.at(AZURE), api.agent()
    both: list[Json] = [{}, {"file_search": {"vector_store_ids": []}}]
    for resources in both:
        body = {"assistant_id": agent, "tool_resources": resources}
        run = RunHandle(azure, azure.post(f"/threads/{azure.thread('Go.')}/runs", body))
        assert run.wait("completed")["tool_resources"] == resources


def test_tool_resources_of_a_run_made_with_its_thread_are_the_runs_alone(
    api: Api, model: ScriptedModel
) -> None:
    agent = api.agent()
    resources: Json = {"code_interpreter": {"file_ids": []}}
    created = api.post("/threads/runs", {"assistant_id": agent, "tool_resources": resources})
    assert RunHandle(api, created).wait("completed")["tool_resources"] == resources
    assert api.get(f"/assistants/{agent}")["tool_resources"] == {}
    assert api.get(f"/threads/{created['thread_id']}")["tool_resources"] == {}


def test_a_model_may_have_any_name(api: Api, model: ScriptedModel) -> None:
    name = "vendor/Größe-7:latest@2026 🧶"
    run = api.run(api.thread("Go."), api.agent(model=name))
    assert run.wait("completed")["model"] == name
    assert model.requests[0].model == name


def test_a_server_with_one_model_asks_that_one_whatever_name_an_agent_gives() -> None:
    back_end: Any = object()
    assert one_model(back_end, name="own").chain("gpt-4o")[0].model == "own"
    assert one_model(back_end).chain("gpt-4o")[0].model == "gpt-4o"


def test_azures_tools_are_kept_as_they_were_sent(api: Api) -> None:
    tools: list[Json] = [
        {
            "type": "openapi",
            "openapi": {
                "name": "maze",
                "spec": {"openapi": "3.1.0", "paths": {"/turn": {"get": {"operationId": "turn"}}}},
                "auth": {"type": "anonymous"},
                "default_params": [],
            },
        },
        {"type": "connected_agent", "connected_agent": {"id": "asst_x", "name": "n", "description": "d"}},
        {"type": "bing_grounding", "bing_grounding": {"search_configurations": [{"connection_id": "c"}]}},
        {"type": "azure_ai_search"},
        {"type": "azure_function", "azure_function": {"function": {"name": "f"}, "input_binding": {}}},
        {"type": "file_search", "file_search": {"ranking_options": {"ranker": "auto", "score_threshold": 0}}},
        {"type": "code_interpreter"},
    ]
    agent = api.agent(tools=tools)
    assert api.get(f"/assistants/{agent}")["tools"] == tools


@pytest.mark.parametrize("attachments", [None, []])
def test_no_attachments_are_an_empty_list(api: Api, attachments: list[Json] | None) -> None:
    body = {"role": "user", "content": "Hello.", "attachments": attachments}
    assert api.post(f"/threads/{api.thread()}/messages", body)["attachments"] == []


# --- values that are no choices --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": {"type": "retrieval"}}, "tool_choice.type"),
        ({"response_format": "none"}, "response_format"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"truncation_strategy": {"type": "sliding"}}, "truncation_strategy.type"),
        ({"additional_messages": [{"role": "tool", "content": "x"}]}, "additional_messages[0].role"),
        (
            {
                "additional_messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "u", "detail": "huge"}}],
                    }
                ]
            },
            "additional_messages[0].content[0].image_url.detail",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_value_that_is_no_choice_is_refused_by_its_path(
    api: Api, refuses: Refuses, fields: dict[str, Any], param: str
) -> None:
    body = {"assistant_id": api.agent(), **fields}
    error = refuses(400, "POST", f"/threads/{api.thread('Go.')}/runs", body)
    assert (error["param"], error["code"]) == (param, "invalid_value")
    assert "Supported values are: " in error["message"]


def test_additional_instructions_have_the_limit_of_instructions(api: Api, refuses: Refuses) -> None:
    agent, thread = api.agent(tools=[function_tool("look")]), api.thread("Go.")
    run = api.run(thread, agent, additional_instructions="x" * 256_000)
    run.wait("completed")
    body = {"assistant_id": agent, "additional_instructions": "x" * 256_001}
    error = refuses(400, "POST", f"/threads/{thread}/runs", body)
    assert (error["param"], error["code"]) == ("additional_instructions", "string_above_max_length")
