"""docs/operations.md, carried out: an empty machine becomes one with Clew, and proxies stand before it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.building import carry_out
from tests.deploy.conftest import passable
from tests.deploy.engine import BASE_PATH, Image, Mount, open_folder
from tests.deploy.machine import Machine, machine
from tests.deploy.recipe import DEPLOY, ROOT
from tests.support.wait import until

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
UNIT = (DEPLOY / "systemd" / "clew.service").read_text(encoding="utf-8")

pytestmark = pytest.mark.usefixtures("containers")


def blocks(heading: str, language: str = "sh") -> list[str]:
    """Return the blocks of a language in a section."""
    [section] = re.findall(rf"^##+ {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def test_every_block_for_a_shell_is_carried_out() -> None:
    tried = [blocks(heading) for heading in ("Install", "Settings and secrets", "Start", "Backups")]
    assert [len(found) for found in tried] == [1, 1, 1, 1]
    assert [found[0] for found in tried] == re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


class Installed:
    """A machine on which the page was followed as far as the start.

    Args:
        site: where it runs.
        layer: what following the page added to an empty machine.
    """

    def __init__(self, site: Machine, layer: Path, open_home: Path) -> None:
        self._site, self._added = site, layer
        self._layers = [open_home, layer]
        state = site.folder / "state"
        state.mkdir()
        users = (layer / "etc" / "passwd").read_text(encoding="utf-8")
        found = re.search(r"^clew:x:(\d+):(\d+):", users, re.MULTILINE)
        assert found is not None
        self._user = f"{found[1]}:{found[2]}"
        shutil.chown(state, int(found[1]), int(found[2]))
        state.chmod(0o700)
        self._state = Mount("/var/lib/clew", state)

    def start(self) -> None:
        """Start what the unit says, with its environment and folder, and no capability."""
        told = dict(re.findall(r"^Environment=(\w+)=(.*)$", UNIT, re.MULTILINE))
        lines = (self._added / "etc" / "clew" / "clew.env").read_text(encoding="utf-8").splitlines()
        told |= dict(line.split("=", 1) for line in lines)
        [command] = re.findall(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)
        health = ["/opt/clew/bin/python", "-m", "clew.cli.ready"]
        path = {"PATH": BASE_PATH}
        image = Image(self._layers, [], command.split(), path | told, self._user, "/var/lib/clew", health)
        mounts = [self._state, Mount("/tmp", options="mode=1777")]
        self._site.run("clew", image, mounts, read_only=True, confined=True).wait_healthy()

    def root(self, name: str, script: str) -> tuple[int, str]:
        """Have root's shell run something; return its exit code and what it printed."""
        image = Image(self._layers, ["bash", "-euc"], [script])
        shell = self._site.run(name, image, [self._state])
        return shell.wait(), shell.log


@pytest.mark.foreign
@pytest.mark.timeout(900)
def test_an_empty_machine() -> None:
    [install], [secrets] = blocks("Install"), blocks("Settings and secrets")
    [admin], [backup] = blocks("Start"), blocks("Backups")
    with open_folder() as folder, open_folder() as open_home:
        layer = folder / "added"
        layer.mkdir(mode=0o755)
        carry_out(folder / "install", layer, install + secrets)
        passable(open_home, Path(sys.base_prefix))
        settings = layer / "etc" / "clew" / "clew.env"
        assert settings.stat().st_mode & 0o777 == 0o600
        with machine(Image()) as site:
            text = settings.read_text(encoding="utf-8")
            settings.write_text(
                text.replace("https://models.example.com/v1", site.model_url), encoding="utf-8"
            )
            installed = Installed(site, layer, open_home)
            installed.start()
            code, said = installed.root("admin", admin)
            assert code == 0, said
            assert re.search(r"^clew_[\w-]+$", said, re.MULTILINE), said
            code, said = installed.root("backup", backup)
            assert code == 0, said
            assert "It is whole" in said
            assert site.down("clew") == 0
            code, said = installed.root(
                "restore", backup + "clew-admin restore /var/backups/clew/clew-$(date +%F).db"
            )
            assert code == 0, said
            assert "/var/lib/clew/clew.db now holds" in said
            installed.start()


def _certificate(folder: Path) -> None:
    subject = ["-subj", "/CN=clew.example.com", "-addext", "subjectAltName=DNS:clew.example.com"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)


def _nginx(folder: Path) -> list[str]:
    [block] = blocks("Behind a reverse proxy", "nginx")
    (folder / "nginx.conf").write_text(
        f"pid {folder}/pid; error_log {folder}/error.log; daemon off; events {{}} http {{ access_log off; "
        f"ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;\n{block}\n}}",
        encoding="utf-8",
    )
    return ["nginx", "-c", str(folder / "nginx.conf")]


def _caddy(folder: Path) -> list[str]:
    [block] = blocks("Behind a reverse proxy", "caddy")
    # instead of asking an authority on the internet
    own = f"clew.example.com {{\n    tls {folder}/cert.pem {folder}/key.pem\n"
    text = "{\n    admin off\n}\n" + block.replace("clew.example.com {\n", own)
    (folder / "Caddyfile").write_text(text, encoding="utf-8")
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@pytest.mark.parametrize(("name", "prepare"), [("nginx", _nginx), ("caddy", _caddy)])
def test_proxies(site: Machine, name: str, prepare: Callable[[Path], list[str]]) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"there is no {name} here: apt-get install {name}")
    site.program("ip", "address", "add", "10.0.0.11/32", "dev", "lo")
    site.program("ip", "address", "add", "10.0.0.12/32", "dev", "lo")
    site.up("compose.yaml", "clew").wait_healthy()
    folder = site.folder / "proxy"
    folder.mkdir()
    folder.chmod(0o777)  # nginx's children are nobody
    _certificate(folder)
    proxy = site.beside(*prepare(folder))
    try:
        until(lambda: site.listens(443), timeout=30)
        seen = site.look_through_proxy(folder / "cert.pem", site.secret("api-key"))
    finally:
        proxy.terminate()
        proxy.wait(20)
    assert seen == {"seen": ["one", " two"], "large": "thread", "status": 200}
