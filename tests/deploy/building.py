"""Carries out a Dockerfile's stages as they are written, but for the base: this machine takes its place."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from tests.deploy.engine import BASE_PATH, SHOWN, environment, layout
from tests.deploy.recipe import ROOT, Stage, stages

_TIMEOUT = 900
_CHECKOUT = ("src", "examples", "requirements", "deploy", "pyproject.toml", "README.md", "LICENSE")


def build(folder: Path) -> Path:
    """Return the folder with all that the last stage adds to its base.

    Args:
        folder: empty, and on a file system that can be part of an overlay.
    """
    _, found = stages()
    made: dict[str, Path] = {}
    for number, stage in enumerate(found):
        layer = folder / f"layer{number}"
        layer.mkdir(mode=0o755)
        made[stage.name] = _carry_out(stage, folder / f"stage{number}", layer, made)
    return layer


def _carry_out(stage: Stage, folder: Path, layer: Path, made: dict[str, Path]) -> Path:
    folder.mkdir()
    root = folder / "root"
    script = [layout(folder, [], keep=layer)]
    place, variables = "/", {"PATH": BASE_PATH, **_for_pip()}
    for word, rest in stage.steps:
        match word:
            case "ARG":
                name, _, value = rest.partition("=")
                variables[name] = value
            case "ENV":
                pairs = dict(pair.split("=", 1) for pair in shlex.split(rest))
                old = variables["PATH"]
                variables |= {name: value.replace("$PATH", old) for name, value in pairs.items()}
            case "WORKDIR":
                place = rest
                script.append(f"mkdir -p {root}{place}")
            case "COPY":
                script += _copy(rest, f"{root}{place}", root, made)
            case "RUN":
                shell = ["env", f"--chdir={place}", *environment(variables), "sh", "-euc", rest]
                script.append(shlex.join(["chroot", str(root), *shell]))
            case _:
                pass  # says how a container begins
    _run(script)
    return layer


def carry_out(folder: Path, layer: Path, commands: str) -> None:
    """Have root's shell run commands in a checkout, on an empty machine; what they add is ``layer``.

    Args:
        folder: does not exist.
        layer: empty.
    """
    folder.mkdir()
    root = folder / "root"
    checkout = f"{root}/root/checkout"
    copies = [
        f"mkdir -p {checkout}",
        *(f"cp -a {_sent(ROOT / name, folder)} {checkout}/" for name in _CHECKOUT),
    ]
    shell = ["env", "--chdir=/root/checkout", *environment({"PATH": BASE_PATH, **_for_pip()}), "bash", "-euc"]
    _run([layout(folder, [], keep=layer), *copies, shlex.join(["chroot", str(root), *shell, commands])])


def _run(script: list[str]) -> None:
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-euc", "\n".join(script)],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-SHOWN:]}\n{done.stderr[-SHOWN:]}"


def _copy(rest: str, place: str, root: Path, made: dict[str, Path]) -> list[str]:
    *sources, target = shlex.split(rest)
    if sources[0].startswith("--from="):
        layer = made[sources.pop(0).removeprefix("--from=")]
        [source] = sources
        return [f"mkdir -p {root}{target}", f"cp -a {layer}{source}/. {root}{target}/"]
    lines = []
    for source in sources:
        what = _sent(ROOT / source, root.parent)
        if what.is_dir():
            lines += [f"mkdir -p {place}/{target}", f"cp -a {what}/. {place}/{target}/"]
        else:
            lines += [f"cp -a {what} {place}/{target}"]
    return lines


def _sent(source: Path, folder: Path) -> Path:
    """Return a copy of what a builder is sent of the checkout: ``.dockerignore`` leaves out the rest."""
    copy = folder / "sent" / source.name
    copy.parent.mkdir(exist_ok=True)
    if source.is_dir():
        kept = {"requirements": "*.lock", "examples": "lesson"}.get(source.name)
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        if kept is not None:
            for path in set(copy.iterdir()) - set(copy.glob(kept)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    else:
        shutil.copy(source, copy)
    return copy


def _for_pip() -> dict[str, str]:
    """Return how this machine reaches the package index."""
    names = ("HOME", "SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
    return {
        name: value
        for name, value in os.environ.items()
        if name.upper() in names or (name.startswith("PIP_") and name != "PIP_REQUIRE_VIRTUALENV")
    }
