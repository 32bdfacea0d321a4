"""``clew env``: what it prints is read back by the shells themselves where they are installed."""

import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clew.cli import server_file
from clew.cli.env import SHELLS
from clew.cli.files import write_private
from clew.cli.main import cli

NASTY = """it's "a" $HOME `date` \\ key; #1 %d é"""


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CLEW_API_KEY", "CLEW_PORT", "CLEW_HOST", "CLEW_TLS", "CLEW_MODEL_NAME", "CLEW_MODEL_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return tmp_path


def env(data_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["env", "--data-dir", str(data_dir), *arguments])


def values(result: Result) -> dict[str, str]:
    assert result.exit_code == 0, result.stderr
    pairs = (line.split("=", 1) for line in result.stdout.splitlines())
    return {name: value.strip("'") for name, value in pairs}


def running(data_dir: Path, url: str, *, tls: bool = False, model: str | None = None) -> None:
    server_file.write(data_dir, server_file.ServerInfo(url=url, project="p1", tls=tls, pid=1, model=model))


def test_without_a_server_it_says_what_would_be(data_dir: Path) -> None:
    result = env(data_dir, "--shell", "dotenv")
    key = (data_dir / "api-key").read_text().strip()
    assert values(result) == {
        "PROJECT_ENDPOINT": "http://127.0.0.1:8787/api/projects/default",
        "MODEL_DEPLOYMENT_NAME": "qwen2.5-coder-0.5b",
        "AZURE_AI_PROJECT_ENDPOINT": "http://127.0.0.1:8787/api/projects/default",
        "AZURE_AI_MODEL_DEPLOYMENT_NAME": "qwen2.5-coder-0.5b",
        "AZURE_AI_AGENT_ENDPOINT": "http://127.0.0.1:8787/api/projects/default",
        "AZURE_AI_AGENT_MODEL_DEPLOYMENT_NAME": "qwen2.5-coder-0.5b",
        "OPENAI_BASE_URL": "http://127.0.0.1:8787/v1",
        "OPENAI_API_KEY": key,
        "AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:8787",
        "AZURE_OPENAI_API_KEY": key,
        "OPENAI_API_VERSION": "2024-05-01-preview",
        "IDENTITY_ENDPOINT": "http://127.0.0.1:8787/msi/token",
        "IDENTITY_HEADER": key,
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
    }
    assert "No server answers at http://127.0.0.1:8787 now" in result.stderr
    assert "Azure's SDK refuses http" in result.stderr


def test_the_running_server_is_found(data_dir: Path) -> None:
    write_private(data_dir / "api-key", b"clew_0123456789abcdef\n")
    running(data_dir, "http://127.0.0.1:1", model="m1")
    printed = values(env(data_dir, "--shell", "dotenv"))
    assert printed["PROJECT_ENDPOINT"] == "http://127.0.0.1:1/api/projects/p1"
    assert printed["MODEL_DEPLOYMENT_NAME"] == "m1"


def test_https_names_the_bundle(data_dir: Path) -> None:
    write_private(data_dir / "api-key", b"clew_0123456789abcdef\n")
    running(data_dir, "https://localhost:1", tls=True)
    assert "REQUESTS_CA_BUNDLE" not in values(env(data_dir, "--shell", "dotenv"))
    write_private(data_dir / "tls" / "bundle.pem", b"not a certificate")
    printed = values(env(data_dir, "--shell", "dotenv"))
    bundle = str(data_dir / "tls" / "bundle.pem")
    names = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
    assert [printed[name] for name in names] == [bundle] * 3


def test_what_is_in_a_clients_way_is_left_out(data_dir: Path) -> None:
    assert "OPENAI_BASE_URL" in values(env(data_dir, "--shell", "dotenv"))
    printed = values(env(data_dir, "--shell", "dotenv", "--for", "azure-openai"))
    assert "OPENAI_BASE_URL" not in printed
    assert "AZURE_OPENAI_ENDPOINT" in printed


def test_no_key_is_made_up_beside_a_server_of_another_folder(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("CLEW_PORT", str(listening.getsockname()[1]))
        assert "set CLEW_API_KEY to the server's" in env(data_dir).stderr
    assert not (data_dir / "api-key").exists()


def test_no_key_is_made_up_beside_a_server_that_has_another(data_dir: Path) -> None:
    running(data_dir, "http://127.0.0.1:1")
    refused = env(data_dir)
    assert refused.exit_code == 3
    assert "set CLEW_API_KEY to the server's" in refused.stderr
    assert not (data_dir / "api-key").exists()


def test_another_server_needs_its_key(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = env(data_dir, "--url", "http://127.0.0.1:1")
    assert refused.exit_code == 3
    assert "set CLEW_API_KEY" in refused.stderr
    assert not (data_dir / "api-key").exists()
    monkeypatch.setenv("CLEW_API_KEY", "theirs")
    printed = values(env(data_dir, "--url", "http://127.0.0.1:1/", "--shell", "dotenv"))
    assert printed["OPENAI_BASE_URL"] == "http://127.0.0.1:1/v1"
    assert printed["OPENAI_API_KEY"] == "theirs"


def test_the_server_is_reached_around_a_proxy(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "NO_PROXY" not in env(data_dir).stdout
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert values(env(data_dir, "--shell", "dotenv"))["NO_PROXY"] == "localhost,127.0.0.1,::1"
    monkeypatch.setenv("no_proxy", "intranet, localhost")
    running(data_dir, "http://10.255.255.1:1")
    monkeypatch.setattr("clew.cli.env._ask", lambda *_: ([], None))
    printed = values(env(data_dir, "--shell", "dotenv"))
    assert printed["no_proxy"] == "intranet,localhost,127.0.0.1,::1,10.255.255.1"


def read_back(shell: str, command: list[str]) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    script = SHELLS[shell]("CLEW_TEST", NASTY) + "\nprintenv CLEW_TEST"
    done = subprocess.run([*command, script], capture_output=True, text=True, check=True)
    return done.stdout.rstrip("\n")


@pytest.mark.parametrize(
    ("shell", "command"),
    [("bash", ["bash", "-c"]), ("bash", ["sh", "-c"]), ("bash", ["zsh", "-c"]), ("fish", ["fish", "-c"])],
)
def test_shells_read_back_any_value(shell: str, command: list[str]) -> None:
    assert read_back(shell, command) == NASTY


def test_dotenv_reads_back_any_value(tmp_path: Path) -> None:
    from dotenv import dotenv_values

    path = tmp_path / ".env"
    values = {"NASTY": NASTY, "PLAIN": "https://localhost:8787/v1", "EMPTY": ""}
    path.write_text("".join(SHELLS["dotenv"](name, value) + "\n" for name, value in values.items()))
    assert dotenv_values(path, interpolate=False) == values


def test_powershell_and_fish_quote() -> None:
    assert SHELLS["powershell"]("A", "it's \u2019 $x") == "$env:A = 'it''s \u2019\u2019 $x'"
    assert SHELLS["fish"]("A", "it's \\n") == "set -gx A 'it\\'s \\\\n';"


def test_a_broken_server_file_is_no_server(data_dir: Path) -> None:
    (data_dir / "server.json").write_text(json.dumps({"url": 1}))
    assert env(data_dir).exit_code == 0
