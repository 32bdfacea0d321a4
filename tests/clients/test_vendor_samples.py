"""The vendor's own samples for azure-ai-agents, as they are, with azure-identity's credentials.

They find the server by the variables that ``clew env`` prints, and nothing else. They wait a second
between two looks at a run, so two of them run at a time.
"""

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer
from tests.clients import environment
from tests.clients.running import run
from tests.clients.sample_model import JOKE, SEEN, answer

_ANSWER = f"MessageRole.AGENT: {JOKE}"
_PIECES = [f"Text delta received: {word}" for word in ("Why", "do", "programmers")]
_CALLED = "MessageRole.AGENT: I was told: "
_EMAIL = 'I was told: {"current_time": "20'
_SENT = 'Sunny, 25\\u00b0C"}; {"message": "Email successfully sent to user@example.com."}'

# The slowest come first, so that two at a time end together.
SAMPLES: dict[str, list[str]] = {
    "agents_async/sample_agents_functions_async.py": ["Run completed with status", _CALLED],
    "agents_async/sample_agents_auto_function_call_async.py": ["RunStatus.COMPLETED", _EMAIL, _SENT],
    "agents_tools/sample_agents_auto_function_call.py": ["RunStatus.COMPLETED", _EMAIL, _SENT],
    "agents_tools/sample_agents_functions.py": ["Executing tool call", "RunStatus.COMPLETED", _EMAIL, _SENT],
    "agents_async/sample_agents_stream_eventhandler_with_functions_async.py": [
        "ThreadRun status: RunStatus.REQUIRES_ACTION",
        "RunStepType.MESSAGE_CREATION, Status: RunStepStatus.COMPLETED",
        "Stream completed.",
        _EMAIL,
        _SENT,
    ],
    "agents_async/sample_agents_stream_eventhandler_with_toolset_async.py": [
        "ThreadRun status: RunStatus.REQUIRES_ACTION",
        "Text delta received: I",
        "Stream completed.",
        _EMAIL,
        _SENT,
    ],
    "agents_telemetry/sample_agents_toolset_with_console_tracing.py": [
        '"name": "fetch_weather"',
        "Run completed with status: RunStatus.COMPLETED",
        _CALLED,
    ],
    "sample_agents_basics.py": ["Run status: RunStatus.COMPLETED", "Deleted agent", _ANSWER],
    "agents_async/sample_agents_basics_async.py": ["Run status: RunStatus.COMPLETED", _ANSWER],
    "agents_files_images_inputs/sample_agents_json_schema.py": ["The mass of Planets.Mars is 6.4171e+23 kg."],
    "agents_telemetry/sample_agents_basics_with_console_tracing_custom_attributes.py": [
        '"trace_sample.sessionid": "123"',
        '"name": "start_thread_run"',
        _ANSWER,
    ],
    "agents_telemetry/sample_agents_basics_async_with_console_tracing.py": [
        '"name": "create_agent my-agent"',
        _ANSWER,
    ],
    "sample_agents_basics_thread_and_run.py": ["Run status: RunStatus.COMPLETED", _ANSWER, "Deleted agent"],
    "sample_agents_basics_thread_and_process_run.py": ["RunStatus.COMPLETED", _ANSWER, "Deleted agent"],
    "agents_files_images_inputs/sample_agents_image_input_url.py": [f"MessageRole.AGENT: {SEEN}"],
    "agents_async/sample_agents_stream_with_base_override_eventhandler_async.py": ["Why \ndo \n", _ANSWER],
    "agents_streaming/sample_agents_stream_with_base_override_eventhandler.py": ["Why \ndo \n", _ANSWER],
    "agents_streaming/sample_agents_stream_eventhandler_with_functions.py": [
        "ThreadRun status: RunStatus.REQUIRES_ACTION",
        "Tool outputs: [{",
        "ThreadRun status: RunStatus.COMPLETED",
        _EMAIL,
        _SENT,
    ],
    "agents_streaming/sample_agents_stream_iteration_with_toolset.py": [
        "RunStepDeltaChunk received.",
        "ThreadRun status: RunStatus.COMPLETED",
        _CALLED,
    ],
    "agents_async/sample_agents_stream_iteration_async.py": [*_PIECES, "Stream completed.", _ANSWER],
    "sample_agents_basics_stream_eventhandler.py": [*_PIECES, "Stream completed.", _ANSWER],
    "sample_agents_basics_stream_iteration.py": [*_PIECES, "Stream completed.", "Deleted agent"],
    "agents_telemetry/sample_agents_stream_eventhandler_with_console_tracing.py": [
        *_PIECES,
        '"name": "process_thread_run"',
        _ANSWER,
    ],
}
"""What each sample prints, in this order, when all goes well."""


@pytest.fixture(scope="module")
def azure_server() -> Iterator[RunningServer]:
    with ScriptedModel(default=answer) as model, RunningServer(model, tls=True) as server:
        yield server


@pytest.fixture(scope="module")
def outputs(
    request: pytest.FixtureRequest, python: Path, azure_server: RunningServer
) -> Iterator[dict[str, Future[str]]]:
    """What the samples print that are to be tested, by path; they start at once."""
    folder = environment.samples()
    # One sample says that it needs this: it imports its neighbours as samples.utils.
    variables = {**azure_server.environment, "PYTHONPATH": str(folder.parent)}
    chosen = [path for path in SAMPLES if any(f"[{path}]" in item.name for item in request.session.items)]
    with ThreadPoolExecutor(2) as pool:
        yield {path: pool.submit(run, [python, folder / path], variables) for path in chosen}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_sample_runs_unmodified(sample: str, outputs: dict[str, Future[str]]) -> None:
    printed = outputs[sample].result()
    rest = printed
    for text in SAMPLES[sample]:
        assert text in rest, f"{text!r} is missing, or not in this place, of:\n{printed}"
        rest = rest.partition(text)[2]
    assert not re.search("failed|error|traceback", printed, re.IGNORECASE), printed
