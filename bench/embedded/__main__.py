"""Measure the embedded model on this machine: ``python -m bench.embedded --help``."""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import aclosing
from pathlib import Path

from msgspec import Struct

from bench.embedded import memory
from bench.embedded.trials import ANSWERS, KITS, TUNING, UNSEEN, AnswerTrial, Trial
from clew.model.chat import CallDelta, ChatRequest, Chunk, Finished, TextDelta, one_by_one
from clew.model.embedded.catalog import DEFAULT, catalogue
from clew.model.embedded.engine import EmbeddedModel

_LONG = "Write a long and detailed text about the history of lighthouses."
_PADDING = "The keeper climbed the stairs, looked out over the sea and wrote a line in the book. "


class Verdict(Struct, frozen=True):
    """How a trial went."""

    chosen: bool
    """The right functions were called, each as often as it should."""
    full: bool
    """And with the right arguments."""


def judge(trial: Trial, calls: list[CallDelta]) -> Verdict:
    """Compare calls with what a trial expects, in any order."""
    wanted = sorted(name for name, _ in trial.calls)
    chosen_right = sorted(call.name or "" for call in calls) == wanted
    left, full = list(calls), chosen_right
    for name, parts in trial.calls:
        fitting = [call for call in left if call.name == name and _holds(call.arguments, parts)]
        full = full and bool(fitting)
        if fitting:
            left.remove(fitting[0])
    return Verdict(chosen_right, full)


def _holds(text: str, parts: tuple[str, ...]) -> bool:
    squeezed = text.lower().replace(" ", "")
    return all(part.replace(" ", "") in squeezed for part in parts)


async def chosen(model: EmbeddedModel, trial: Trial) -> list[CallDelta]:
    """The calls the model makes in a trial."""
    messages = []
    for text in trial.before:
        messages += [{"role": "user", "content": text}, {"role": "assistant", "content": "All right."}]
    messages.append({"role": "user", "content": trial.said})
    request = ChatRequest(
        model="", messages=tuple(messages), tools=KITS[trial.kit], max_completion_tokens=512
    )
    calls = []
    async with aclosing(one_by_one(model.stream(request))) as chunks:
        async for chunk in chunks:
            if isinstance(chunk, TextDelta):  # it chose to answer; what, doesn't matter here
                break
            if isinstance(chunk, CallDelta):
                calls.append(chunk)
    return calls


async def answered(model: EmbeddedModel, trial: AnswerTrial) -> str:
    """The model's answer from a trial's tool outputs."""
    request = ChatRequest(model="", messages=tuple(trial.messages()), max_completion_tokens=200)
    async with aclosing(one_by_one(model.stream(request))) as chunks:
        return "".join([chunk.text async for chunk in chunks if isinstance(chunk, TextDelta)])


async def _speed(model: EmbeddedModel) -> None:
    before = time.perf_counter()
    await model.load()
    print(f"load: {time.perf_counter() - before:.1f} s")
    first, _, _ = await _timed(model, "Hello!", 8)
    print(f"first token of a short answer: {first:.2f} s")
    first, whole, end = await _timed(model, _LONG, 200)
    written = end.usage.completion_tokens
    print(f"writing: {(written - 1) / (whole - first):.0f} tokens/s ({written} tokens)")
    first, _, end = await _timed(model, _PADDING * 60, 1)
    print(f"reading: {end.usage.prompt_tokens / first:.0f} tokens/s ({end.usage.prompt_tokens} tokens)")


async def _timed(model: EmbeddedModel, text: str, tokens: int) -> tuple[float, float, Finished]:
    """Seconds to the first chunk, seconds in all, and the end."""
    message = {"role": "user", "content": text}
    request = ChatRequest(model="", messages=(message,), max_completion_tokens=tokens)
    before, first = time.perf_counter(), 0.0
    last: Chunk | None = None
    async with aclosing(one_by_one(model.stream(request))) as chunks:
        async for chunk in chunks:
            first, last = first or time.perf_counter() - before, chunk
    assert isinstance(last, Finished)
    return first, time.perf_counter() - before, last


async def _tools(model: EmbeddedModel, title: str, trials: tuple[Trial, ...]) -> None:
    before, verdicts = time.perf_counter(), []
    for trial in trials:
        calls = await chosen(model, trial)
        verdict = judge(trial, calls)
        verdicts.append(verdict)
        if not verdict.full:
            print(f"  wrong: {trial.said} -> {[(call.name, call.arguments) for call in calls]}")
    seconds = (time.perf_counter() - before) / len(trials)
    right, full = sum(v.chosen for v in verdicts), sum(v.full for v in verdicts)
    count = len(trials)
    print(f"{title}: right tools {right}/{count}, arguments too {full}/{count}, {seconds:.1f} s each")


async def _answers(model: EmbeddedModel) -> None:
    right = 0
    for trial in ANSWERS:
        text = await answered(model, trial)
        good = all(part in text.lower() for part in trial.expected)
        right += good
        if not good:
            print(f"  wrong: {trial.said} -> {text}")
    print(f"answers from tool outputs: {right}/{len(ANSWERS)}")


async def _memory(model: EmbeddedModel, title: str, talks: tuple[memory.Talk, ...]) -> None:
    heard = []
    for talk in talks:
        heard += await memory.hold(model, talk)
    for each in heard:
        if each.turn.kind != "told" and not each.right:
            print(f"  wrong: {each.turn.said} -> {each.answer}")
    print(f"{title}: {', '.join(memory.figures(heard))}")


async def _run(options: argparse.Namespace) -> None:
    model = EmbeddedModel(options.model, data_dir=options.data_dir, file=options.file, context_tokens=4096)
    try:
        if not options.memory_only:
            await _speed(model)
        if not options.speed_only:
            await _memory(model, "memory, tuning set", memory.TUNING)
            await _memory(model, "memory, unseen set", memory.UNSEEN)
        if not options.speed_only and not options.memory_only:
            await _tools(model, "tools, tuning set", TUNING)
            await _tools(model, "tools, unseen set", UNSEEN)
            await _answers(model)
    finally:
        await model.aclose()
    if sys.platform == "linux":
        import resource  # there is none on Windows

        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        print(f"memory of the model's process: {peak} MiB at most (2 slots of 4096 tokens)")


def main() -> None:
    """Print load time, speed, memory, what is remembered and how well tools are chosen."""
    parser = argparse.ArgumentParser(prog="python -m bench.embedded", description=__doc__)
    parser.add_argument("--model", default=DEFAULT, choices=[weights.name for weights in catalogue()])
    parser.add_argument("--file", type=Path, help="a GGUF file to measure instead")
    parser.add_argument("--data-dir", type=Path, default=Path(tempfile.gettempdir()) / "clew-measure")
    parser.add_argument("--speed-only", action="store_true")
    parser.add_argument("--memory-only", action="store_true", help="nothing but memory over many turns")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
