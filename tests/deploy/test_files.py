"""The files in ``deploy`` say what they should: what no linter knows of Clew, and what must be there."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from clew.settings import FROM_FILES, Settings
from tests.deploy.recipe import COMPOSE, DEPLOY, DOCKERFILE, ROOT, compose, stages

_SETTINGS = {f"CLEW_{name.upper()}" for name in Settings.__struct_fields__} | {
    f"CLEW_{name.upper()}_FILE" for name in FROM_FILES
}
_SERVICES = [
    (file, name)
    for file in COMPOSE
    for name in compose(file, {"CLEW_MODEL_URL": "http://model/v1"})["services"]
]
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def service(file: str, name: str) -> dict[str, Any]:
    described: dict[str, Any] = compose(file, {"CLEW_MODEL_URL": "http://model/v1"})["services"][name]
    return described


class TestDockerfile:
    def test_all_stages_have_one_base_that_says_its_version(self) -> None:
        arguments, found = stages()
        assert {stage.base for stage in found} == {"${PYTHON_IMAGE}"}
        assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", arguments["PYTHON_IMAGE"])

    def test_whatever_comes_from_the_index_is_checked_by_hash(self) -> None:
        installs = [
            command
            for stage in stages()[1]
            for kind, rest in stage.steps
            if kind == "RUN"
            for command in rest.split("&&")
            if "pip install" in command or "pip wheel" in command
        ]
        assert len(installs) == 3
        assert all("--require-hashes" in command or "--no-index" in command for command in installs)

    def test_locks_that_it_names_are_there(self) -> None:
        names = re.findall(r"requirements/(\S+\.lock)", DOCKERFILE.read_text(encoding="utf-8"))
        assert set(names) == {"${LOCK}.lock", "build.lock"}
        assert all((ROOT / "requirements" / f"{name}.lock").is_file() for name in ("run", "local", "build"))

    def test_it_runs_as_nobody_special_and_takes_signals_itself(self) -> None:
        last = stages()[1][-1]
        assert last.last("USER") == "10001:10001"
        assert last.command("ENTRYPOINT") == ["clew"]
        assert last.command("CMD") == ["serve"]
        assert last.health_command == ["python", "-m", "clew.cli.ready"]
        assert last.last("VOLUME") == last.environment["CLEW_DATA_DIR"] == last.last("WORKDIR")

    def test_settings_that_it_names_exist_and_none_is_a_secret(self) -> None:
        named = {name for name in stages()[1][-1].environment if name.startswith("CLEW_")}
        assert named <= _SETTINGS
        assert not named & {f"CLEW_{name.upper()}" for name in FROM_FILES}

    def test_the_builder_is_sent_only_what_the_recipe_copies(self) -> None:
        lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        rules = [line for line in lines if line and not line.startswith("#")]
        assert rules[0] == "*"
        sent = {rule[1:].split("/")[0] for rule in rules if rule.startswith("!")}
        copied = {
            source
            for stage in stages()[1]
            for kind, rest in stage.steps
            if kind == "COPY" and not rest.startswith("--from")
            for source in rest.split()[:-1]
        }
        assert sent == copied
        assert all((ROOT / rule[1:].split("*")[0]).exists() for rule in rules if rule.startswith("!"))


@pytest.mark.parametrize(("file", "name"), _SERVICES)
class TestServices:
    def test_it_can_do_no_more_than_it_must(self, file: str, name: str) -> None:
        described = service(file, name)
        assert described["read_only"] is True
        assert described["cap_drop"] == ["ALL"]
        assert described["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in described
        limits = described["deploy"]["resources"]["limits"]
        assert set(limits) == {"cpus", "memory", "pids"}

    def test_its_image_says_its_version_and_its_user_is_not_root(self, file: str, name: str) -> None:
        described = service(file, name)
        tag = described["image"].partition(":")[2]
        assert tag
        assert tag != "latest"
        if described["image"].startswith("clew:"):
            assert "build" in described
            assert tag == re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)[1]  # type: ignore[index]
        else:
            assert described["user"].split(":")[0] not in ("0", "root")

    def test_it_starts_again_and_says_how_it_is(self, file: str, name: str) -> None:
        described = service(file, name)
        once = name == "migrate"
        assert described["restart"] == ("no" if once else "unless-stopped")
        # the image's own check is for servers; workers listen nowhere
        if described["image"].startswith("clew:"):
            unasked = described.get("healthcheck", {}).get("disable", False)
            assert unasked is (described["command"][0] != "serve")
        else:
            assert described["healthcheck"]["test"][0] == "CMD"

    def test_it_is_given_time_to_hand_over(self, file: str, name: str) -> None:
        described = service(file, name)
        if described["image"].startswith("clew:"):
            assert described["init"] is True
            # requests get the drain and a second, then runs the drain again
            assert int(described["stop_grace_period"].removesuffix("s")) >= 2 * Settings().drain_timeout + 10

    def test_its_settings_exist_and_secrets_come_as_files(self, file: str, name: str) -> None:
        described = service(file, name)
        variables = described.get("environment", {})
        named = {variable for variable in variables if variable.startswith("CLEW_")}
        assert named <= _SETTINGS
        assert not named & {f"CLEW_{setting.upper()}" for setting in FROM_FILES}
        mounted = {f"/run/secrets/{secret}" for secret in described.get("secrets", [])}
        used = {value for value in variables.values() if value.startswith("/run/secrets/")}
        if name == "bus":
            text = (DEPLOY / "nats.conf").read_text(encoding="utf-8")
            used |= {f"/{path}" for path in re.findall(r"run/secrets/[a-z.-]+", text)}
            used = {path.replace("//", "/") for path in used}
        assert used == mounted

    def test_it_is_published_to_this_machine_alone(self, file: str, name: str) -> None:
        assert all(port.startswith("127.0.0.1:") for port in service(file, name).get("ports", []))


class TestCodeWorkers:
    """The pods of deploy/kubernetes, which run what models write."""

    @pytest.fixture
    def documents(self) -> list[dict[str, Any]]:
        """What the file holds."""
        text = (DEPLOY / "kubernetes" / "code-worker.yaml").read_text(encoding="utf-8")
        return list(yaml.safe_load_all(text))

    @pytest.fixture
    def pod(self, documents: list[dict[str, Any]]) -> dict[str, Any]:
        """What each pod is."""
        [deployment] = [each for each in documents if each["kind"] == "Deployment"]
        template = deployment["spec"]["template"]
        assert template["metadata"]["labels"] == deployment["spec"]["selector"]["matchLabels"]
        found: dict[str, Any] = template["spec"]
        return found

    def test_a_pod_is_a_sandbox_and_can_do_no_more_than_it_must(self, pod: dict[str, Any]) -> None:
        assert pod["runtimeClassName"] == "gvisor"
        assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}
        assert container["args"] == ["code-worker"]
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod)
        for volume in pod["volumes"]:
            assert "hostPath" not in volume
            assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""})
        assert {mount["name"] for mount in container["volumeMounts"]} == {
            volume["name"] for volume in pod["volumes"]
        }

    def test_it_is_given_the_bus_and_its_own_key(self, pod: dict[str, Any]) -> None:
        [container] = pod["containers"]
        named = {variable["name"]: variable for variable in container["env"]}
        assert set(named) == {"CLEW_SANDBOX", "CLEW_BUS_CA", "CLEW_BUS_URL", "CLEW_CODE_KEY"}
        assert set(named) <= _SETTINGS
        assert named["CLEW_SANDBOX"]["value"] == "outer"
        assert all("secretKeyRef" in named[name]["valueFrom"] for name in ("CLEW_BUS_URL", "CLEW_CODE_KEY"))
        assert "envFrom" not in container

    def test_it_reaches_the_bus_and_names(self, documents: list[dict[str, Any]], pod: dict[str, Any]) -> None:
        [policy] = [each["spec"] for each in documents if each["kind"] == "NetworkPolicy"]
        [deployment] = [each for each in documents if each["kind"] == "Deployment"]
        assert policy["podSelector"]["matchLabels"] == deployment["spec"]["selector"]["matchLabels"]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        assert policy["ingress"] == []
        ports = [[(port["protocol"], port["port"]) for port in rule["ports"]] for rule in policy["egress"]]
        assert ports == [[("TCP", 4222)], [("UDP", 53)]]
        assert all(rule["to"] for rule in policy["egress"])

    def test_the_image_has_the_folder_that_code_finds_its_files_in(self) -> None:
        assert any("ln -s /proc/self/cwd /mnt/data" in rest for _, rest in stages()[1][-1].steps)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="make-secrets needs openssl")
class TestSecrets:
    def test_all_that_the_compose_files_want_are_made_once(self, tmp_path: Path) -> None:
        script = shutil.copy(DEPLOY / "make-secrets", tmp_path)
        said = subprocess.run([script], input="the-model's-key\n", capture_output=True, text=True, check=True)
        made = {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}
        wanted = {
            Path(secret["file"]).name
            for file in COMPOSE
            for secret in compose(file, {"CLEW_MODEL_URL": "x"})["secrets"].values()
        }
        assert wanted <= set(made)
        assert all(made.values())
        assert made["model-api-key"] == b"the-model's-key\n"
        assert not [
            secret for secret in made.values() if secret.decode().strip() in said.stdout + said.stderr
        ]
        again = subprocess.run([script], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        assert (again.stdout, again.stderr) == ("", "")
        assert made == {path.name: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}

    def test_only_their_owner_reaches_them_and_containers_may_read_them(self, tmp_path: Path) -> None:
        script = shutil.copy(DEPLOY / "make-secrets", tmp_path)
        subprocess.run([script], stdin=subprocess.DEVNULL, capture_output=True, check=True)
        folder = tmp_path / "secrets"
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} <= {0o644, 0o600}

    def test_no_file_of_the_project_has_one(self) -> None:
        texts = [path.read_text(encoding="utf-8") for path in DEPLOY.rglob("*") if path.is_file()]
        assert not re.search(r"(?i)password: *[\"']?[a-z0-9]{4,}|\b[0-9a-f]{32,}\b", "\n".join(texts))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
class TestUnits:
    def test_systemd_understands_it(self, unit: Path, tmp_path: Path) -> None:
        if shutil.which("systemd-analyze") is None:
            pytest.skip("there is no systemd-analyze here")
        # where Clew is not installed, a command that is there takes its place
        text = unit.read_text(encoding="utf-8").replace("/opt/clew/bin/clew", "/bin/true")
        copy = tmp_path / unit.name
        copy.write_text(text, encoding="utf-8")
        done = subprocess.run(
            ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False
        )
        about = [line for line in done.stderr.splitlines() if unit.name in line or str(copy) in line]
        assert (done.returncode, about) == (0, [])

    def test_systemd_finds_little_that_it_could_reach(self, unit: Path) -> None:
        if shutil.which("systemd-analyze") is None:
            pytest.skip("there is no systemd-analyze here")
        command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout.splitlines()[-1]

    def test_what_it_says_fits_clew(self, unit: Path) -> None:
        lines = dict(
            line.split("=", 1)
            for line in unit.read_text(encoding="utf-8").splitlines()
            if "=" in line and not line.startswith("#")
        )
        assert lines["ExecStart"].split()[0] == "/opt/clew/bin/clew"
        assert int(lines["LimitNOFILE"]) == 65536
        assert int(lines["TimeoutStopSec"]) >= 2 * Settings().drain_timeout + 10
        assert lines["User"] == "clew"
        named = re.findall(r"^Environment=(CLEW_\w+)=", unit.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(named) <= _SETTINGS
