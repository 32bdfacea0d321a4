"""Dockerfiles and compose files, read as far as ours go."""

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
COMPOSE = ("compose.yaml", "compose.cluster.yaml")


@dataclass
class Stage:
    """One stage of a Dockerfile: its base, its name and its instructions in order."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def last(self, word: str) -> str:
        """Return what the last instruction of a kind says; empty if there is none."""
        return next((rest for kind, rest in reversed(self.steps) if kind == word), "")

    def command(self, word: str) -> list[str]:
        """Return an instruction's command, which must be in the form that goes through no shell."""
        command: list[str] = json.loads(self.last(word))
        return command

    @property
    def environment(self) -> dict[str, str]:
        """All ENV instructions together, unexpanded."""
        pairs = [pair for kind, rest in self.steps if kind == "ENV" for pair in shlex.split(rest)]
        return dict(pair.split("=", 1) for pair in pairs)

    @property
    def health_command(self) -> list[str]:
        """What HEALTHCHECK runs."""
        command: list[str] = json.loads(self.last("HEALTHCHECK").partition("CMD ")[2])
        return command


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, with continued lines joined and comments left out."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", lines)
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in joined.splitlines() if line.strip()]


def stages(path: Path = DOCKERFILE) -> tuple[dict[str, str], list[Stage]]:
    """Return what ARG says before the first stage, and the stages."""
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for kind, rest in instructions(path.read_text(encoding="utf-8")):
        if kind == "FROM":
            base, _, name = rest.partition(" AS ")
            found.append(Stage(base, name))
        elif found:
            found[-1].steps.append((kind, rest))
        else:
            assert kind == "ARG", f"{kind} stands before the first FROM"
            name, _, default = rest.partition("=")
            arguments[name] = default
    return arguments, found


def compose(name: str, variables: dict[str, str] | None = None) -> dict[str, Any]:
    """Return a compose file with its variables put in; one that must be given and is not raises KeyError."""
    given = variables or {}

    def value(match: re.Match[str]) -> str:
        name, _, default = match[1].partition(":")
        if default.startswith("-"):
            return given.get(name) or default[1:]
        return given[name]

    text = (DEPLOY / name).read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{([^}]+)\}", value, text))
    return read
