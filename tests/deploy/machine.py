"""A machine with a network of its own, on which the services of a compose file run."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.deploy.engine import BASE_PATH, Container, Image, Mount, open_folder
from tests.deploy.recipe import DEPLOY, ROOT, compose, stages
from tests.support.postgres import binaries

_SECONDS = re.compile(r"(\d+)s")


class Machine:
    """Containers, and programs beside them, on one network; where the compose files are set up.

    Args:
        folder: where everything lies; other users may pass through it.
        network: the process whose network it is.
        image: what ``clew:0.1.0`` is.
    """

    def __init__(self, folder: Path, network: int, image: Image) -> None:
        self.folder, self.network, self._clew = folder, network, image
        self.deploy = folder / "deploy"
        shutil.copytree(DEPLOY, self.deploy, ignore=shutil.ignore_patterns("secrets", ".env"))
        self._running: dict[str, Container] = {}
        self._patience: dict[str, float] = {}
        self._model = subprocess.Popen(
            [*self._inside, sys.executable, "-m", "tests.deploy.beside"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            text=True,
        )
        assert self._model.stdout is not None
        self.model_url = self._model.stdout.readline().strip()

    @property
    def _inside(self) -> list[str]:
        return ["nsenter", f"--target={self.network}", "--net"]

    def program(self, *command: str | Path, **variables: str) -> str:
        """Run a program of this machine in the network; return what it printed."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **variables}
        done = subprocess.run(
            [*self._inside, *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command[0]}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def beside(self, *command: str) -> "subprocess.Popen[bytes]":
        """Start a program of this machine in the network."""
        return subprocess.Popen([*self._inside, *command])

    def listens(self, port: int) -> bool:
        """Whether something takes connections at a port."""
        code = f"import socket; print(socket.socket().connect_ex(('127.0.0.1', {port})))"
        return self.program(sys.executable, "-c", code) == "0\n"

    def look_through_proxy(self, authority: Path, key: str) -> dict[str, Any]:
        """Return what a client sees of Clew at https://clew.example.com."""
        assert self._model.stdin is not None
        assert self._model.stdout is not None
        self._model.stdin.write(f"{authority} {key}\n")
        self._model.stdin.flush()
        seen: dict[str, Any] = json.loads(self._model.stdout.readline())
        return seen

    def run(
        self,
        name: str,
        image: Image,
        mounts: Sequence[Mount] = (),
        *,
        read_only: bool = False,
        confined: bool = False,
        patience: float = 30,
    ) -> Container:
        """Start a container that no compose file describes."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        container = Container(image, mounts, folder, self.network, read_only=read_only, confined=confined)
        self._running[name], self._patience[name] = container, patience
        return container

    def make_secrets(self) -> None:
        """Run ``make-secrets`` beside the compose files."""
        subprocess.run(
            [self.deploy / "make-secrets"], stdin=subprocess.DEVNULL, capture_output=True, check=True
        )

    def secret(self, name: str) -> str:
        """Return a secret that was made."""
        return (self.deploy / "secrets" / name).read_text(encoding="utf-8").strip()

    def up(self, file: str, name: str, *, instance: str = "") -> Container:
        """Start a service of a compose file."""
        described = compose(file, {"CLEW_MODEL_URL": self.model_url})
        service = described["services"][name]
        image = self._image(service)
        unprivileged = service["cap_drop"] == ["ALL"] and "no-new-privileges:true" in service["security_opt"]
        seconds = _SECONDS.fullmatch(service.get("stop_grace_period", "10s"))
        assert seconds is not None
        return self.run(
            f"{name}{instance}",
            image,
            [*self._tmpfs(service), *self._volumes(service, image), *self._secrets(described, service)],
            read_only=service["read_only"],
            confined=unprivileged,
            patience=float(seconds[1]),
        )

    def down(self, name: str) -> int:
        """Stop a service within the time that its file gives it; return its exit code."""
        return self._running.pop(name).stop(self._patience[name])

    def close(self) -> None:
        """Stop whatever still runs."""
        for name in reversed(list(self._running)):
            self.down(name)
        self._model.communicate(timeout=10)

    def _image(self, service: dict[str, Any]) -> Image:
        kind = service["image"].partition(":")[0]
        image = {"clew": lambda: self._clew, "postgres": self._postgres, "nats": _nats}[kind]()
        return Image(
            [self._hosts(), *image.layers],
            image.entrypoint,
            service.get("command", image.command),
            image.environment | service.get("environment", {}),
            service.get("user", image.user),
            image.folder,
            service.get("healthcheck", {}).get("test", ["CMD", *image.health])[1:],
        )

    def _hosts(self) -> Path:
        """Return a layer where services have the names by which they find each other."""
        layer = self.folder / "hosts"
        (layer / "etc").mkdir(parents=True, exist_ok=True)
        (layer / "etc" / "hosts").write_text("127.0.0.1 localhost database bus\n", encoding="ascii")
        return layer

    def _postgres(self) -> Image:
        """Return what takes the place of PostgreSQL's image: this machine's, made as that one makes it."""
        begin = (
            "set -eu; data=/var/lib/postgresql/data; test -e $data/PG_VERSION || { "
            "initdb -D $data -U $POSTGRES_USER --pwfile=$POSTGRES_PASSWORD_FILE --no-sync "
            "$POSTGRES_INITDB_ARGS; "
            'echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -D $data postgres; }; '
            'exec postgres -D $data -c fsync=off "$@"'
        )
        passwd = self.folder / "postgres"
        (passwd / "etc").mkdir(parents=True, exist_ok=True)
        users = Path("/etc/passwd").read_text(encoding="utf-8")
        (passwd / "etc" / "passwd").write_text(f"pg:x:70:70::/:/bin/sh\n{users}", encoding="utf-8")
        path = {"PATH": f"{binaries()}:{BASE_PATH}", "LANG": "C.UTF-8"}
        return Image([passwd], ["sh", "-c", begin, "postgres"], environment=path)

    def _tmpfs(self, service: dict[str, Any]) -> list[Mount]:
        entries = [entry.partition(":") for entry in service.get("tmpfs", [])]
        return [Mount(target, options=options) for target, _, options in entries]

    def _volumes(self, service: dict[str, Any], image: Image) -> list[Mount]:
        mounts = []
        for entry in service.get("volumes", []):
            source, target = entry.split(":")[:2]
            place = self.deploy / source if source.startswith(".") else self.folder / "volumes" / source
            if not place.exists():  # a new volume belongs to whoever has its folder in the image
                place.mkdir(parents=True, mode=0o700)
                os.chown(place, *map(int, image.user.split(":")))
            mounts.append(Mount(target, place))
        return mounts

    def _secrets(self, described: dict[str, Any], service: dict[str, Any]) -> list[Mount]:
        files = {name: described["secrets"][name]["file"] for name in service.get("secrets", [])}
        return [Mount(f"/run/secrets/{name}", self.deploy / file) for name, file in files.items()]


def _nats() -> Image:
    binary = Path(sys.executable).with_name("nats-server")
    return Image(entrypoint=[str(binary)])


def image_of(layers: list[Path]) -> Image:
    """Return how the last stage of the Dockerfile begins, on these files."""
    last = stages()[1][-1]
    path = last.environment["PATH"].replace("$PATH", BASE_PATH)
    return Image(
        layers,
        last.command("ENTRYPOINT"),
        last.command("CMD"),
        {**last.environment, "PATH": path},
        last.last("USER"),
        last.last("WORKDIR"),
        last.health_command,
    )


@contextmanager
def machine(image: Image) -> Iterator[Machine]:
    """Run a machine."""
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-euc", "ip link set lo up; echo up; exec sleep 3600"],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"up\n"
    with open_folder() as folder:
        made = Machine(folder, holder.pid, image)
        try:
            yield made
        finally:
            try:
                made.close()
            finally:
                holder.kill()
                holder.wait()
                holder.stdout.close()
