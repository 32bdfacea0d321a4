"""The plumbing of the embedded model, with the smallest real weights."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from clew.core.options import JsonObjectFormat, JsonSchema, JsonSchemaFormat, ResponseFormat
from clew.model.chat import CallDelta, ChatRequest, Chunk, Finished, ModelError, TextDelta, one_by_one
from clew.model.embedded import EmbeddedModel
from clew.weights import machine, process
from clew.weights.machine import threads
from clew.weights.process import LlamaProcess, Setup

Json = dict[str, Any]
STORY: Json = {"role": "user", "content": "Tell me a very long story about a lighthouse keeper."}
PICK: Json = {
    "type": "function",
    "function": {
        "name": "pick_colour",
        "parameters": {
            "type": "object",
            "properties": {"colour": {"enum": ["red", "green"]}, "shades": {"type": "array"}},
            "required": ["colour"],
        },
    },
}

BRANCHING: Json = {"type": "object", "properties": {f"p{n}": {"$ref": "#"} for n in range(20)}}


def ask(*messages: Json, **options: Any) -> ChatRequest:
    return ChatRequest(model="any", messages=messages, **options)


async def collect(model: EmbeddedModel, request: ChatRequest) -> list[Chunk]:
    async with aclosing(one_by_one(model.stream(request))) as chunks:
        return [chunk async for chunk in chunks]


def answer(model: EmbeddedModel, *messages: Json, **options: Any) -> tuple[str, list[CallDelta], Finished]:
    """The text, the calls and the end of an answer."""
    chunks = asyncio.run(collect(model, ask(*messages, **options)))
    end = chunks.pop()
    assert isinstance(end, Finished)
    assert not any(isinstance(chunk, Finished) for chunk in chunks)
    text = "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta))
    return text, [chunk for chunk in chunks if isinstance(chunk, CallDelta)], end


@pytest.fixture(scope="module")
def model(smol: Path) -> Iterator[EmbeddedModel]:
    """One model for the whole module; each test uses it from an event loop of its own."""
    opened = EmbeddedModel("smollm2-135m", data_dir=smol, context_tokens=2048, slots=2)
    yield opened
    asyncio.run(opened.aclose())


@pytest.mark.model
class TestAnswers:
    def test_text_streams_and_usage_is_counted(self, model: EmbeddedModel) -> None:
        chunks = asyncio.run(collect(model, ask(STORY, max_completion_tokens=12)))
        end = chunks[-1]
        assert isinstance(end, Finished)
        assert sum(isinstance(chunk, TextDelta) for chunk in chunks) > 5
        assert end.reason == "length"
        assert end.usage.completion_tokens == 12
        assert 20 < end.usage.prompt_tokens < 60

    def test_an_answer_that_ends_by_itself_is_a_stop(self, model: EmbeddedModel) -> None:
        text, _, end = answer(
            model, {"role": "user", "content": "Reply with one word: yes."}, max_completion_tokens=80
        )
        assert text.strip()
        assert end.reason == "stop"

    def test_greedy_by_default_and_repeatable_with_a_temperature(self, model: EmbeddedModel) -> None:
        for options in ({}, {"temperature": 0.8, "top_p": 0.9}):
            once, again = (answer(model, STORY, max_completion_tokens=16, **options)[0] for _ in range(2))
            assert once == again

    def test_json_of_a_schema(self, model: EmbeddedModel) -> None:
        schema = {
            "type": "object",
            "properties": {"mood": {"enum": ["glad", "sad"]}, "score": {"type": "integer", "maximum": 9}},
            "required": ["mood", "score"],
            "additionalProperties": False,
        }
        wanted = JsonSchemaFormat(json_schema=JsonSchema(name="mood", schema=schema))
        text, _, _ = answer(model, STORY, response_format=wanted, max_completion_tokens=60)
        assert json.loads(text)["mood"] in ("glad", "sad")

    @pytest.mark.parametrize(
        "wanted",
        [
            JsonObjectFormat(),
            JsonSchemaFormat(json_schema=JsonSchema(name="odd", schema={"type": "objekt"})),
            JsonSchemaFormat(json_schema=JsonSchema(name="any")),
            JsonSchemaFormat(json_schema=JsonSchema(name="branching", schema=BRANCHING)),
        ],
    )
    def test_json_of_any_kind_even_if_the_schema_is_nonsense(
        self, model: EmbeddedModel, wanted: ResponseFormat
    ) -> None:
        text, _, _ = answer(model, STORY, response_format=wanted, max_completion_tokens=20)
        assert text.lstrip().startswith("{")

    def test_a_prompt_that_is_too_long_is_an_invalid_prompt(self, model: EmbeddedModel) -> None:
        with pytest.raises(ModelError, match="takes 2048") as caught:
            answer(model, {"role": "user", "content": "word " * 3000})
        assert caught.value.code == "invalid_prompt"

    def test_more_requests_than_slots_all_finish(self, model: EmbeddedModel) -> None:
        async def crowd() -> list[list[Chunk]]:
            request = ask(STORY, max_completion_tokens=8)
            return await asyncio.gather(*(collect(model, request) for _ in range(5)))

        assert all(isinstance(chunks[-1], Finished) for chunks in asyncio.run(crowd()))


@pytest.mark.model
class TestCalls:
    def test_required_calls_follow_the_schema(self, model: EmbeddedModel) -> None:
        text, calls, end = answer(model, STORY, tools=(PICK,), tool_choice="required")
        assert text == ""
        assert end.reason == "tool_calls"
        assert {call.name for call in calls} == {"pick_colour"}
        assert [call.index for call in calls] == list(range(len(calls)))
        assert all(call.id and call.id.startswith("call_") for call in calls)
        assert all(json.loads(call.arguments)["colour"] in ("red", "green") for call in calls)

    def test_one_call_only_if_asked_for_one(self, model: EmbeddedModel) -> None:
        named = {"type": "function", "function": {"name": "pick_colour"}}
        _, calls, _ = answer(model, STORY, tools=(PICK,), tool_choice=named, parallel_tool_calls=False)
        assert len(calls) == 1

    def test_weights_that_cannot_choose_do_not(self, model: EmbeddedModel) -> None:
        _, calls, end = answer(model, STORY, tools=(PICK,), max_completion_tokens=4)
        assert (calls, end.reason) == ([], "length")

    @pytest.mark.parametrize(
        "parameters",
        [
            None,
            {},
            {"type": "string"},
            {"type": "object", "properties": {"x": {"not": {"type": "string"}}, "y": {"$ref": "#/no"}}},
            {"type": ["object", "null"], "properties": {"when": {"type": "string", "format": "odd"}}},
            {"oneOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}]},
        ],
    )
    def test_odd_parameters_still_give_an_object(self, model: EmbeddedModel, parameters: object) -> None:
        odd = {"type": "function", "function": {"name": "odd", "parameters": parameters}}
        _, calls, _ = answer(model, STORY, tools=(odd,), tool_choice="required", parallel_tool_calls=False)
        assert isinstance(json.loads(calls[0].arguments), dict)


@pytest.mark.model
class TestLife:
    def test_the_loop_turns_while_the_weights_load(self, smol: Path) -> None:
        async def load() -> float:
            loop, worst = asyncio.get_running_loop(), 0.0
            loading = asyncio.ensure_future(fresh.load())
            while not loading.done():
                before = loop.time()
                await asyncio.wait([loading], timeout=0.005)
                worst = max(worst, loop.time() - before)
            await loading
            await fresh.aclose()
            return worst

        fresh = EmbeddedModel("smollm2-135m", data_dir=smol, context_tokens=512, slots=1)
        assert asyncio.run(load()) < 0.25

    def test_closing_the_stream_frees_the_slot(self, smol: Path) -> None:
        """The rest of the story, nearly a thousand pieces, is not waited for."""

        async def interrupt() -> tuple[float, float]:
            loop = asyncio.get_running_loop()
            began = loop.time()
            async with aclosing(one_by_one(single.stream(ask(STORY)))) as chunks:
                for _ in range(50):
                    await anext(chunks)
            before = loop.time()
            await collect(single, ask(STORY, max_completion_tokens=1))
            after = loop.time()
            await single.aclose()
            return before - began, after - before

        single = EmbeddedModel("smollm2-135m", data_dir=smol, context_tokens=2048, slots=1)
        asyncio.run(single.load())
        fifty, waited = asyncio.run(interrupt())
        assert waited < 5 * fifty

    def test_a_process_that_dies_fails_the_request_and_is_replaced(self, model: EmbeddedModel) -> None:
        async def murder() -> None:
            async with aclosing(one_by_one(model.stream(ask(STORY)))) as chunks:
                async for _ in chunks:
                    os.kill(model.pid or 0, signal.SIGKILL)

        with pytest.raises(ModelError, match="ended unexpectedly") as caught:
            asyncio.run(murder())
        assert caught.value.code == "server_error"
        assert answer(model, STORY, max_completion_tokens=3)[2].reason == "length"

    def test_closing_the_model_ends_requests_and_refuses_more(self, smol: Path) -> None:
        async def close() -> None:
            async with aclosing(one_by_one(closing.stream(ask(STORY)))) as chunks:
                async for _ in chunks:
                    await closing.aclose()

        closing = EmbeddedModel("smollm2-135m", data_dir=smol, context_tokens=2048)
        with pytest.raises(ModelError):
            asyncio.run(close())
        with pytest.raises(ModelError, match="closed"):
            answer(closing, STORY)

    def test_a_file_that_is_no_model_is_reported(self, tmp_path: Path) -> None:
        file = tmp_path / "broken.gguf"
        file.write_bytes(b"GGUF" + b"\0" * 64)
        broken = EmbeddedModel(data_dir=tmp_path, file=file)
        with pytest.raises(ModelError) as caught:
            answer(broken, STORY)
        assert caught.value.code == "server_error"

    def test_weights_without_a_profile_use_the_model_s_own_template(self, smol: Path, tmp_path: Path) -> None:
        known = next((smol / "models").glob("b179c952*.gguf"))
        unknown = tmp_path / "mine.gguf"
        unknown.write_bytes(known.read_bytes() + b"\0")
        other = EmbeddedModel(data_dir=tmp_path, file=unknown, context_tokens=2048, slots=1)
        text, _, _ = answer(other, STORY, max_completion_tokens=5)
        assert text.strip()
        _, calls, end = answer(other, STORY, tools=(PICK,), tool_choice="required", max_completion_tokens=200)
        assert (calls[0].name, end.reason) == ("pick_colour", "tool_calls")
        _, _, end = answer(other, STORY, tools=(PICK,), max_completion_tokens=5)
        assert end.reason in ("length", "stop")
        asyncio.run(other.aclose())

    def test_a_silent_process_is_ended(self, smol: Path) -> None:
        async def wait() -> None:
            async with aclosing(stopped.call("text", {"prompt": "x", "max_tokens": 5})) as chunks:
                async for _ in chunks:
                    pytest.fail("a stopped process answered")

        stopped = LlamaProcess.start(setup(smol, silence=0.2))
        os.kill(stopped.pid, signal.SIGSTOP)
        with pytest.raises(process.WorkerError):
            asyncio.run(wait())
        assert not stopped.alive

    @pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process that is no child")
    def test_the_process_does_not_outlive_its_parent(self, smol: Path) -> None:
        script = (
            "import sys; from pathlib import Path\n"
            "from clew.weights.process import LlamaProcess, Setup\n"
            "started = LlamaProcess.start(Setup(path=Path(sys.argv[1]), context_tokens=512, slots=1,"
            " threads=1, api_key='x'))\n"
            "print(started.pid, flush=True)\n"
            "sys.stdin.read()\n"
        )
        command = [sys.executable, "-c", script, str(setup(smol).path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
            assert parent.stdout is not None
            watched = os.pidfd_open(int(parent.stdout.readline()))
            parent.kill()
        ready, _, _ = select.select([watched], [], [], 10)
        os.close(watched)
        assert ready


def setup(smol: Path, silence: float = 60.0) -> Setup:
    path = next((smol / "models").glob("b179c952*.gguf"))
    return Setup(path=path, context_tokens=512, slots=1, threads=1, api_key="x", silence=silence)


class TestMachine:
    def test_a_missing_extra_is_said_plainly(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(machine, "find_spec", lambda _: None)
        with pytest.raises(ModelError, match=r"pip install .*xllamacpp==[0-9.]+, or .*CLEW_MODEL_URL"):
            answer(EmbeddedModel(data_dir=tmp_path), STORY)

    def test_an_old_processor_is_said_plainly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(machine, "find_spec", lambda _: object())
        monkeypatch.setattr("clew.weights.machine.platform.machine", lambda: "x86_64")
        monkeypatch.setattr(machine, "has_avx2", lambda: False)
        assert "AVX2" in (machine.obstacle() or "")

    def test_unknown_weights_are_said_plainly(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("clew.model.embedded.engine.obstacle", lambda: None)
        with pytest.raises(ModelError, match="known: qwen"):
            answer(EmbeddedModel("gpt-9", data_dir=tmp_path), STORY)

    @pytest.mark.parametrize(("text", "expected"), [("150000 100000", 1), ("max 100000", 8), ("", 8)])
    def test_a_container_s_share_of_processors_counts(self, tmp_path: Path, text: str, expected: int) -> None:
        quota = tmp_path / "cpu.max"
        quota.write_text(text)
        assert machine.quota(quota) == expected
        assert 1 <= threads() <= 8
