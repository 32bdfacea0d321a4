"""The image's recipe and the compose files, with other people's tools, and carried out."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients import environment
from tests.deploy.building import build
from tests.deploy.conftest import passable
from tests.deploy.engine import open_folder
from tests.deploy.machine import image_of, machine
from tests.deploy.recipe import COMPOSE, DEPLOY, DOCKERFILE
from tests.deploy.test_containers import use

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(1800)]


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = environment.framework("linters").with_name("hadolint")
    done = subprocess.run(
        [str(hadolint), str(DOCKERFILE)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_files_keep_to_the_specification(name: str) -> None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("dclint was not tried: node and npm are not on the PATH")
    dclint = environment.node_modules("linters") / ".bin" / "dclint"
    config = environment.HERE / "linters" / "dclint.json"
    command = [str(part) for part in (dclint, "--config", config, "--max-warnings", "0", DEPLOY / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("containers")
def test_the_recipe_makes_an_image_that_serves() -> None:
    with open_folder() as folder, open_folder() as open_home:
        layer = build(folder)
        passable(open_home, Path(sys.base_prefix))
        with machine(image_of([open_home, layer])) as site:
            site.make_secrets()
            server = site.up("compose.yaml", "clew")
            server.wait_healthy()
            assert use(site) == "completed 2\n"
            where = server.run("python", "-c", "import clew; print(clew.__file__)").stdout
            assert where.startswith("/opt/clew/lib/"), where
            for missing in ("pytest", "hatchling"):
                assert server.run("python", "-c", f"import {missing}").returncode == 1
            assert site.down("clew") == 0
