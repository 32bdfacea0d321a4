"""``clew runs submit``: tool outputs and approvals from the command line."""

from collections.abc import Mapping, Sequence

import click

from clew.cli.output import print_table
from clew.cli.problems import USAGE, Problem
from clew.toolkit.records import Json

_MOST = 8 * 1024 * 1024
"""Bytes of a file of an output: the server takes no more in one request."""


def open_calls(run: Json) -> list[Json]:
    """Return the calls that a run waits for, each with ``id``, ``name`` and ``arguments``.

    Raises:
        Problem: it waits for none.
    """
    action = run.get("required_action")
    if not action:
        raise Problem(f"the run is {run['status']}: it waits for nothing (`clew runs explain {run['id']}`)")
    calls = action[action["type"]]["tool_calls"]
    return [{"id": call["id"], **(call.get("function") or call)} for call in calls]


def wants_approvals(run: Json) -> bool:
    """Whether a run waits for approvals rather than outputs."""
    return bool(run["required_action"]["type"] == "submit_tool_approval")


def show_open(run: Json, calls: Sequence[Json]) -> None:
    """Print the calls that a run waits for, and how they are answered."""
    print_table(
        ["call", "name", "arguments"], [[call["id"], call["name"], call["arguments"]] for call in calls]
    )
    option = "--approve CALL, or --deny CALL" if wants_approvals(run) else "--output CALL=TEXT"
    click.echo(f"Answer each of them: {option}.", err=True)


def outputs(
    calls: Sequence[Json], texts: Sequence[str], files: Sequence[str], everything: str | None
) -> Json:
    """Return the body that answers calls with outputs.

    Raises:
        Problem: an output is not for one of these calls, or there are two for one.
    """
    given = [_pair(text, "--output", "TEXT") for text in texts]
    given += [(call, _read(path)) for call, path in (_pair(each, "--output-file", "FILE") for each in files)]
    if everything is not None:
        given += _object(everything).items()
    answers: dict[str, str] = {}
    for call, text in given:
        found = _resolved(calls, call)
        if found in answers:
            raise Problem(f"there are two outputs for {found}", USAGE)
        answers[found] = text
    return {"tool_outputs": [{"tool_call_id": call, "output": text} for call, text in answers.items()]}


def approvals(calls: Sequence[Json], approved: Sequence[str], denied: Sequence[str]) -> Json:
    """Return the body that approves and denies calls.

    Raises:
        Problem: one is no call that waits, or is both approved and denied.
    """
    decided: dict[str, bool] = {}
    for call, yes in [*((each, True) for each in approved), *((each, False) for each in denied)]:
        found = _resolved(calls, call)
        if decided.setdefault(found, yes) is not yes:
            raise Problem(f"{found} is both approved and denied", USAGE)
    return {"tool_approvals": [{"tool_call_id": call, "approve": yes} for call, yes in decided.items()]}


def check_complete(calls: Sequence[Json], body: Json) -> None:
    """Raise Problem if calls are left unanswered: the server takes all answers or none."""
    answered = {each["tool_call_id"] for answers in body.values() for each in answers}
    left = [f"{call['id']} ({call['name']})" for call in calls if call["id"] not in answered]
    if left:
        raise Problem(f"nothing was sent: all calls are answered at once; these are not: {', '.join(left)}")


def _resolved(calls: Sequence[Json], call: str) -> str:
    """Return the id of a call that is named by its id, or by the name of its function if only it has that."""
    if call in [each["id"] for each in calls]:
        return call
    named = [str(each["id"]) for each in calls if each["name"] == call]
    if len(named) == 1:
        return named[0]
    known = ", ".join(f"{each['id']} ({each['name']})" for each in calls)
    said = "is the name of several calls that wait" if named else "is no call that the run waits for"
    raise Problem(f"{call!r} {said}: {known}", USAGE)


def _pair(text: str, option: str, what: str) -> tuple[str, str]:
    call, equals, value = text.partition("=")
    if not call or not equals:
        raise Problem(f"{option}: {text!r} is not CALL={what}", USAGE)
    return call, value


def _read(path: str) -> str:
    """Return the text of a file, or of stdin for -.

    Raises:
        Problem: it can't be read, is too long, or is not UTF-8.
    """
    try:
        with click.open_file(path, "rb") as file:
            data: bytes = file.read(_MOST + 1)
    except OSError as error:
        raise Problem(f"--output-file: {path} can't be read: {error.strerror}", USAGE) from None
    if len(data) > _MOST:
        raise Problem(f"--output-file: {path} is longer than {_MOST:,} bytes", USAGE)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Problem(f"--output-file: {path} is no text in UTF-8", USAGE) from None


def _object(path: str) -> Mapping[str, str]:
    import json

    try:
        found = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise Problem(f"--outputs: {path} is no JSON: {error}", USAGE) from None
    if not isinstance(found, dict):
        raise Problem(f"--outputs: {path} is no JSON object of outputs by call", USAGE)
    return {call: text if isinstance(text, str) else json.dumps(text) for call, text in found.items()}


def check_kind(run: Json, *, gives_outputs: bool, decides: bool) -> None:
    """Raise Problem if what is given is not what a run waits for."""
    approving = wants_approvals(run)
    if (gives_outputs and approving) or (decides and not approving):
        needs = "approvals: --approve or --deny" if approving else "outputs: --output CALL=TEXT"
        raise Problem(f"the run waits for {needs}", USAGE)
