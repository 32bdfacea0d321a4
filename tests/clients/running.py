"""Running a program that somebody else's client is in."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clew.testing.scripted_model import Request, ScriptedModel
from clew.testing.server import RunningServer

TIMEOUT = 180.0
"""Seconds that a program may take: enough for a first import on a busy machine."""


@dataclass(frozen=True)
class Outcome:
    """What a program printed as JSON, and what the model was asked meanwhile."""

    result: dict[str, Any]
    requests: list[Request]


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    folder: Path | None = None,
) -> str:
    """Run a program that knows nothing but ``environment`` and the PATH; return what it printed.

    Raises:
        AssertionError: it failed; the message holds what it printed.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONIOENCODING": "utf-8", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, f"{command[-1]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def outcome(
    command: Sequence[str | Path],
    server: RunningServer,
    model: ScriptedModel,
    extra: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a program that prints one line of JSON at its end, against ``server``."""
    output = run(command, {**server.environment, **(extra or {})})
    model.check(all_used=True)
    return Outcome(json.loads(output.splitlines()[-1]), model.requests)
