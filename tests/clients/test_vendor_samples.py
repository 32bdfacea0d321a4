"""The vendor's own samples for azure-ai-agents, as they are, with azure-identity's credentials.

They find the server by the variables that ``clew env`` prints, and nothing else. They wait a second
between two looks at a run or a vector store, so two of them run at a time.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from clew.testing.scripted_model import ScriptedModel
from clew.testing.server import RunningServer
from tests.clients import environment
from tests.clients.running import run
from tests.clients.sample_model import CHART, CITED, JOKE, SEEN, UNFOUND, answer

_ANSWER = f"MessageRole.AGENT: {JOKE}"
_PIECES = [f"Text delta received: {word}" for word in ("Why", "do", "programmers")]
_CALLED = "MessageRole.AGENT: I was told: "
_EMAIL = 'I was told: {"current_time": "20'
_SENT = 'Sunny, 25\\u00b0C"}; {"message": "Email successfully sent to user@example.com."}'

_UPLOADED = "Uploaded file, file ID: "
_FOUND = f"MessageRole.AGENT: {CITED}"
_SEEN = f"MessageRole.AGENT: {SEEN}"

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

SAMPLES_WITH_FILES: dict[str, list[str]] = {
    "agents_files_images_inputs/sample_agents_vector_store_batch_file_search.py": [
        _UPLOADED,
        "Created vector store file batch, vector store file batch ID: ",
        "Updated agent",
        "Deleted vector store",
        f"MessageRole.AGENT: {UNFOUND}",  # the second run, for which the agent has no vector store
    ],
    "agents_async/sample_agents_vector_store_batch_file_search_async.py": [
        _UPLOADED,
        "Created vector store file batch, vector store file batch ID: ",
        "Deleted file",
        "Deleted vector store",
        f"MessageRole.AGENT: {UNFOUND}",
    ],
    "agents_async/sample_agents_with_file_search_attachment_async.py": [
        "Run completed with status: RunStatus.COMPLETED",
        "Deleted file",
        _FOUND,
    ],
    "agents_files_images_inputs/sample_agents_with_file_search_attachment.py": [
        _UPLOADED,
        "Deleted file",
        _FOUND,
    ],
    "agents_tools/sample_agents_file_search.py": [
        _UPLOADED,
        "Run finished with status: RunStatus.COMPLETED",
        "Deleted file",
        _FOUND,
    ],
    "agents_files_images_inputs/sample_agents_with_resources_in_thread.py": [
        _UPLOADED,
        "Run finished with status: RunStatus.COMPLETED",
        "Deleted file",
        _FOUND,
    ],
    "agents_files_images_inputs/sample_agents_vector_store_file_search.py": [
        _UPLOADED,
        "Deleted vector store",
        _FOUND,
    ],
    "agents_async/sample_agents_vector_store_file_search_async.py": [
        _UPLOADED,
        "Deleted vector store",
        _FOUND,
    ],
    "agents_streaming/sample_agents_stream_iteration_with_file_search.py": [
        _UPLOADED,
        "RunStep type: RunStepType.TOOL_CALLS, Status: RunStepStatus.COMPLETED",
        "Text delta received: It",
        "Status: MessageStatus.COMPLETED",
        "Citation 【4:0†product_info_1.md】 from file ID: ",
        f"start index: {CITED.index('【')}, end index: {CITED.index('】') + 1}",
        "ThreadRun status: RunStatus.COMPLETED",
        "Stream completed.",
        _FOUND,
    ],
    "agents_files_images_inputs/sample_agents_image_input_file.py": [_UPLOADED, _SEEN],
    "agents_async/sample_agents_image_input_file_async.py": [_UPLOADED, _SEEN],
    "agents_files_images_inputs/sample_agents_image_input_base64.py": [_SEEN],
    "agents_async/sample_agents_image_input_base64_async.py": ["Deleted agent", _SEEN],
}
"""The same of the samples with files, vector stores and images."""

_CHART = ["Saved image file to: ", "File Paths:", "Type: file_path", "Text: sandbox:/mnt/data/profit.png"]

SAMPLES_WITH_CODE: dict[str, list[str]] = {
    "agents_tools/sample_agents_code_interpreter.py": [
        _UPLOADED,
        "Run finished with status: RunStatus.COMPLETED",
        *_CHART,
        f"Start Index: {CHART.index('sandbox')}",
        f"End Index: {CHART.index(').')}",
        f"Last Message: {CHART}",
    ],
    "agents_async/sample_agents_code_interpreter_async.py": [_UPLOADED, "RunStatus.COMPLETED"],
    "agents_files_images_inputs/sample_agents_with_code_interpreter_file_attachment.py": [
        "Run finished with status: RunStatus.COMPLETED",
        f"Last Message: {CHART}",
        *_CHART,
    ],
    "agents_async/sample_agents_code_interpreter_attachment_async.py": [
        _UPLOADED,
        "MessageRole.AGENT: It says: ",
    ],
}
"""The same of the samples with code_interpreter."""

_QUICK = (
    "agents_streaming/sample_agents_stream_iteration_with_file_search.py",
    "agents_async/sample_agents_with_file_search_attachment_async.py",
    "agents_async/sample_agents_image_input_file_async.py",
)
"""Those with files that the suite runs too; the others take their time for the same requests."""

_PICTURE = "image_file.png"
"""What four samples show the model; the vendor's archive has not got it."""

_TABLE = "synthetic_500_quarterly_results.csv"
"""What three samples have the model draw; the vendor's archive has not got it either."""

_ROWS = "Sector,Name,Operating profit\nTRANSPORTATION,Rails,12.5\nENERGY,Wind,7\nTRANSPORTATION,Ships,9\n"


@pytest.fixture(scope="module")
def azure_server() -> Iterator[RunningServer]:
    with ScriptedModel(default=answer) as model:
        # One sample shows a picture on the internet, which these tests do without.
        settings = {
            "embeddings_url": model.url,
            "embeddings_model": "scripted-embedding",
            "image_urls": "pass",
            "sandbox_python": sys.executable,
        }
        with RunningServer(model, tls=True, settings=settings) as server:
            yield server


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The vendor's folder, with the picture in its place."""
    folder = tmp_path_factory.mktemp("vendor") / "samples"
    shutil.copytree(environment.samples(), folder)
    from PIL import Image

    Image.new("RGB", (64, 48), "green").save(folder / "assets" / _PICTURE)
    (folder / "assets" / _TABLE).write_text(_ROWS, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def outputs(
    request: pytest.FixtureRequest, python: Path, samples: Path, azure_server: RunningServer
) -> Iterator[dict[str, Future[str]]]:
    """What the samples print that are to be tested, by path; they start at once."""
    # One sample says that it needs this: it imports its neighbours as samples.utils.
    variables = {**azure_server.environment, "PYTHONPATH": str(samples.parent)}
    every = [*SAMPLES, *SAMPLES_WITH_FILES, *SAMPLES_WITH_CODE]
    chosen = [path for path in every if any(f"[{path}]" in item.name for item in request.session.items)]
    with ThreadPoolExecutor(2) as pool:
        # Some save what they were given into the folder that they run in.
        yield {path: pool.submit(run, [python, samples / path], variables, folder=samples) for path in chosen}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_sample_runs_unmodified(sample: str, outputs: dict[str, Future[str]]) -> None:
    _check(outputs[sample].result(), SAMPLES[sample])


@pytest.mark.parametrize(
    "sample",
    [
        pytest.param(each, id=each, marks=() if each in _QUICK else pytest.mark.foreign)
        for each in SAMPLES_WITH_FILES
    ],
)
def test_a_sample_with_files_runs_unmodified(sample: str, outputs: dict[str, Future[str]]) -> None:
    _check(outputs[sample].result(), SAMPLES_WITH_FILES[sample])


@pytest.mark.parametrize(
    "sample",
    [
        pytest.param(each, id=each, marks=() if "agents_tools" in each else pytest.mark.foreign)
        for each in SAMPLES_WITH_CODE
    ],
)
def test_a_sample_with_code_runs_unmodified(sample: str, outputs: dict[str, Future[str]]) -> None:
    _check(outputs[sample].result(), SAMPLES_WITH_CODE[sample])


def _check(printed: str, texts: list[str]) -> None:
    rest = printed
    for text in texts:
        assert text in rest, f"{text!r} is missing, or not in this place, of:\n{printed}"
        rest = rest.partition(text)[2]
    assert not re.search("failed|error|traceback", printed, re.IGNORECASE), printed
