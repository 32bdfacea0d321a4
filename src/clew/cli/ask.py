"""``clew ask``."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from clew.cli import output, used_threads
from clew.cli.bodies import piped, text_of
from clew.cli.lists import json_option
from clew.cli.output import print_json
from clew.cli.problems import Problem
from clew.cli.remote import Remote, code_of, in_words, on_server
from clew.cli.talk import (
    Answerer,
    Attached,
    Writer,
    answering,
    attached,
    own_tools,
    sent,
    talk_options,
    thread_to_go_on_with,
)
from clew.toolkit.conversation.manager import ConversationManager
from clew.toolkit.monitor.events import RunResult
from clew.toolkit.tools.executor import ToolExecutor
from clew.toolkit.tools.text import clean


@click.command(
    epilog="""\b
Examples:
  clew ask "What is a thread?"
  clew ask --tools "What is 25 * 47, and what time is it in Lisbon?"
  clew ask --last "And a run?"
  clew ask --file handbook.pdf "When does the canteen open?"
  git diff | clew ask "Write a commit message for this."
  clew ask --json "..." | jq -r .text

\b
Exit codes: 0 the run completed, 1 it didn't, 2 wrong usage, 3 not found or not allowed,
4 --timeout has passed, 130 interrupted (the run is cancelled).
"""
)
@click.argument("question")
@talk_options
@click.option("--tools/--no-tools", default=False, help="let it use a calculator and a clock")
@click.option(
    "--file",
    "paths",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="what the answer may be found in, or an image to look at; can be repeated, folders too",
)
@click.option(
    "--forget", is_flag=True, help="delete the thread afterwards, if it is a new one, and the files of --file"
)
@json_option
@on_server
def ask(
    remote: Remote,
    question: str,
    agent_id: str | None,
    model: str | None,
    instructions: str | None,
    thread_id: str | None,
    last: bool,
    timeout: float,
    tools: bool,
    paths: Sequence[Path],
    forget: bool,
    as_json: bool,
) -> None:
    """Ask a question and print the answer.

    What a pipe or a file gives on stdin belongs to the question, after it; a QUESTION of - is all of that.
    """
    text = text_of(question)
    if question != "-" and (more := piped()).strip():
        text = f"{text}\n\n{more}"
    thread = thread_to_go_on_with(remote, thread_id, last)
    executor = own_tools() if tools else ToolExecutor()
    with (
        answering(remote, Answerer(agent_id, model, instructions), executor) as agent,
        ConversationManager(
            remote.service,
            agent,
            thread_id=thread,
            tools=executor,
            timeout=timeout,
            delete_on_leaving=forget,
        ) as conversation,
    ):
        what = attached(remote, paths)
        try:
            result = _answer(conversation, text, what, as_json)
        finally:
            for file_id in (*what.files, *what.images) if forget else ():
                remote.service.request("DELETE", "files", file_id)
        if not forget and conversation.thread_id is not None:
            used_threads.remember(remote.data_dir, remote.place, conversation.thread_id)
        if not forget and not as_json and sys.stderr.isatty():
            output.say(f"(clew ask --thread {conversation.thread_id} ... goes on from here)")
    if result.problem is not None:
        raise Problem(in_words(result.problem), code_of(result.problem))


def _answer(conversation: ConversationManager, text: str, what: Attached, as_json: bool) -> RunResult:
    """Have the question answered, and print the answer: as it is written on a terminal, whole elsewhere."""
    streams = sys.stdout.isatty() and not as_json
    writer = Writer()
    result = sent(conversation, text, writer if streams else None, what)
    if as_json:
        print_json(_as_json(result))
    elif streams:
        writer.end_line()
    elif result.text:
        click.echo(clean(result.text))
    return result


def _as_json(result: RunResult) -> dict[str, Any]:
    problem = result.problem
    return {
        "thread_id": result.run.thread_id,
        "run_id": result.run.id,
        "status": result.run.status,
        "text": result.text,
        "error": None if problem is None else {"code": problem.code, "message": problem.message},
        "usage": {
            "prompt_tokens": result.usage.prompt_tokens,
            "completion_tokens": result.usage.completion_tokens,
        },
        "tool_calls": [
            {"name": call.name, "arguments": call.arguments, "output": call.output, "outcome": call.outcome}
            for call in result.calls
        ],
        "seconds": round(result.timings.total, 3),
    }
