"""Images, and machines to run them on."""

import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.engine import Image, obstacle, open_folder
from tests.deploy.machine import Machine, image_of, machine
from tests.deploy.recipe import ROOT

_HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what needs containers, and so much of the machine, to `make test-clients`."""
    for item in items:
        if item.path.is_relative_to(_HERE) and "containers" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.foreign)


@pytest.fixture(scope="session")
def containers() -> None:
    """Skip a test where no container can run."""
    reason = obstacle()
    if Path(sys.prefix).is_relative_to("/tmp"):
        reason = "containers have a /tmp of their own, and this environment lies in /tmp"
    if shutil.which("openssl") is None:
        reason = "make-secrets needs openssl"
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def image(containers: None) -> Iterator[Image]:
    """The image as it begins, with this environment's packages: building it is a test of its own."""
    with open_folder() as layer:
        binaries = layer / "opt" / "clew" / "bin"
        binaries.mkdir(parents=True)
        shutil.copytree(ROOT / "src", layer / "opt" / "clew" / "src")
        for name, module in (("clew", " -m clew.cli.main"), ("python", "")):
            command = f'{shlex.quote(sys.executable)}{module} "$@"'
            script = f"#!/bin/sh\nPYTHONPATH=/opt/clew/src exec {command}\n"
            (binaries / name).write_text(script, encoding="utf-8")
            (binaries / name).chmod(0o755)
        (layer / "var" / "lib" / "clew").mkdir(parents=True)
        passable(layer, Path(sys.prefix), Path(sys.base_prefix))
        yield image_of([layer])


def passable(layer: Path, *targets: Path) -> None:
    """Let other users reach files of this machine: homes may be shut."""
    for target in targets:
        for parent in reversed(target.absolute().parents):
            (layer / parent.relative_to("/")).mkdir(mode=0o755, exist_ok=True)


@pytest.fixture
def site(image: Image) -> Iterator[Machine]:
    """A machine with nothing on it but what the compose files need."""
    with machine(image) as made:
        made.make_secrets()
        yield made
