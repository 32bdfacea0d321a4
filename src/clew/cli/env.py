"""``clew env``."""

import re
import shlex
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec

from clew.cli import certificates, keys, server_file
from clew.cli.connection import check_url
from clew.cli.options import load_settings, setting
from clew.cli.problems import NOT_FOUND, Problem
from clew.cli.serve import model_to_ask_for
from clew.settings import Settings

_OPENAI_API_VERSION = "2024-05-01-preview"
"""What AzureOpenAI insists on sending; the server takes any."""

_AZURE_OPENAI = "azure-openai"

_LOCAL = ("localhost", "127.0.0.1", "::1")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=\[\]-]*")
_PROXIES = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]


def _bash(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"


def _fish(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{escaped}';"


def _powershell(name: str, value: str) -> str:
    doubled = re.sub(
        "(['\u2018\u2019\u201a\u201b])", r"\1\1", value
    )  # PowerShell takes all of them for quotes
    return f"$env:{name} = '{doubled}'"


def _dotenv(name: str, value: str) -> str:
    if _PLAIN.fullmatch(value):  # docker's --env-file knows no quotes
        return f"{name}={value}"
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{name}='{escaped}'"


SHELLS = {"bash": _bash, "fish": _fish, "powershell": _powershell, "dotenv": _dotenv}


@click.command(
    epilog="""\b
Examples:
  eval "$(clew env)"                                bash, zsh, sh
  clew env --shell fish | source
  clew env --shell powershell | Out-String | Invoke-Expression
  clew env --shell dotenv > .env
  eval "$(clew env --for azure-openai)"             for Node's AzureOpenAI
"""
)
@click.option(
    "--url", metavar="URL", help="the server, such as https://localhost:8787; by default the one that runs"
)
@click.option(
    "--shell", type=click.Choice(list(SHELLS)), default="bash", show_default=True, help="whose syntax"
)
@click.option(
    "kind",
    "--for",
    type=click.Choice([_AZURE_OPENAI]),
    help="leave out what is in this client's way: Node's AzureOpenAI refuses an OPENAI_BASE_URL",
)
@setting("data_dir", "--data-dir")
@click.option("proxy", "--proxy", envvar=_PROXIES, hidden=True)
@click.option("no_proxy", "--no-proxy", envvar="NO_PROXY", hidden=True)
@click.option("lower_no_proxy", "--lower-no-proxy", envvar="no_proxy", hidden=True)
def env(
    url: str | None,
    shell: str,
    kind: str | None,
    data_dir: Path | None,
    proxy: str | None,
    no_proxy: str | None,
    lower_no_proxy: str | None,
) -> None:
    """Print what clients need to find the server: OpenAI's, Azure's and AzureOpenAI's variables."""
    settings = load_settings(data_dir=data_dir)
    info = _server(settings, url)
    key = _key(settings, info, url)
    models, problem = _ask(settings, info, key)
    if info.model is None and models:
        info = msgspec.structs.replace(info, model=models[0])
    variables = client_variables(settings, info, key)
    if proxy:
        variables |= _around_proxy(info.url, no_proxy, lower_no_proxy)
    if kind == _AZURE_OPENAI:
        del variables["OPENAI_BASE_URL"]
    for name, value in variables.items():
        click.echo(SHELLS[shell](name, value))
    _advise(settings, info, problem)


def client_variables(settings: Settings, info: server_file.ServerInfo, key: str) -> dict[str, str]:
    """Return the environment variables by which unmodified programs find a server.

    OPENAI_* are the openai package's, AZURE_OPENAI_* those of its AzureOpenAI class, PROJECT_ENDPOINT and
    MODEL_DEPLOYMENT_NAME the vendor's samples', AZURE_AI_* Agent Framework's and Semantic Kernel's, the
    others azure-identity's (the managed identity of App Service), requests', OpenSSL's and Node's.
    """
    endpoint, model = f"{info.url}/api/projects/{info.project}", info.model or "default"
    variables = {
        "PROJECT_ENDPOINT": endpoint,
        "MODEL_DEPLOYMENT_NAME": model,
        "AZURE_AI_PROJECT_ENDPOINT": endpoint,
        "AZURE_AI_MODEL_DEPLOYMENT_NAME": model,
        "AZURE_AI_AGENT_ENDPOINT": endpoint,
        "AZURE_AI_AGENT_MODEL_DEPLOYMENT_NAME": model,
        "OPENAI_BASE_URL": f"{info.url}/v1",
        "OPENAI_API_KEY": key,
        "AZURE_OPENAI_ENDPOINT": info.url,
        "AZURE_OPENAI_API_KEY": key,
        "OPENAI_API_VERSION": _OPENAI_API_VERSION,
        "IDENTITY_ENDPOINT": f"{info.url}/msi/token",
        "IDENTITY_HEADER": key,
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
    }
    bundle = certificates.paths(settings.data_dir).bundle
    if info.tls and bundle.is_file():
        names = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
        variables |= dict.fromkeys(names, str(bundle))
    return variables


def _server(settings: Settings, url: str | None) -> server_file.ServerInfo:
    if url is not None:
        check_url(url)
        return _expected(settings, url.rstrip("/"), urlsplit(url).scheme == "https")
    info = server_file.read(settings.data_dir)
    if info is not None:
        return info
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - not for listening
    host = anywhere.get(settings.host, settings.host)
    host = f"[{host}]" if ":" in host else host
    guess = f"{'https' if settings.tls else 'http'}://{host}:{settings.port}"
    return _expected(settings, guess, settings.tls)


def _expected(settings: Settings, url: str, tls: bool) -> server_file.ServerInfo:
    model = model_to_ask_for(settings)
    return server_file.ServerInfo(url=url, project=settings.project, tls=tls, pid=0, model=model)


def _key(settings: Settings, info: server_file.ServerInfo, url: str | None) -> str:
    """Return the key; one is made only where no server can have another.

    Raises:
        Problem: the server has one that is not known here.
    """
    key = keys.existing_key(settings)
    if key is None and url is None and not info.pid and not _answers(info.url):
        return keys.api_key(settings)
    if key is None:
        where = keys.key_path(settings)
        raise Problem(
            f"no key for {info.url}: set CLEW_API_KEY to the server's ({where} is not there)", NOT_FOUND
        )
    return key


def _answers(url: str) -> bool:
    """Whether somebody is there, whose key is not here."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=1):
            return True
    except OSError:
        return False


def _around_proxy(url: str, *existing: str | None) -> dict[str, str]:
    """Return NO_PROXY with the server in it; ``no_proxy`` too where it is set, since it wins."""
    host = urlsplit(url).hostname or ""
    variables = {}
    for name, value in zip(("NO_PROXY", "no_proxy"), existing, strict=True):
        if name == "NO_PROXY" or value is not None:
            hosts = [*(value or "").split(","), *_LOCAL, host]
            variables[name] = ",".join(dict.fromkeys(entry.strip() for entry in hosts if entry.strip()))
    return variables


def _advise(settings: Settings, info: server_file.ServerInfo, problem: str | None) -> None:
    bundle = certificates.paths(settings.data_dir).bundle
    notes = [problem] if problem is not None else []
    if info.model is None:
        notes.append("MODEL_DEPLOYMENT_NAME: put in a name that your model's endpoint knows.")
    if urlsplit(info.url).scheme == "http":
        notes.append("Azure's SDK refuses http: use `clew serve --tls`, or clew.azure.AIProjectClient.")
    elif info.tls and not bundle.is_file():
        notes.append("No certificate of Clew's own is here: the server's must be one that clients trust.")
    for note in notes:
        click.echo(note, err=True)


def _ask(settings: Settings, info: server_file.ServerInfo, key: str) -> tuple[list[str], str | None]:
    """Return the models that the server lists, and what is wrong with it if anything is."""
    import httpx2

    bundle = certificates.paths(settings.data_dir).bundle
    try:
        trust = ssl.create_default_context(cafile=bundle if info.tls and bundle.is_file() else None)
        with httpx2.Client(verify=trust, timeout=2, trust_env=False) as client:
            answer = client.get(f"{info.url}/v1/models", headers={"Authorization": f"Bearer {key}"})
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            return (
                [],
                f"The server at {info.url} doesn't take this key: set CLEW_API_KEY to the one it was given.",
            )
        answer.raise_for_status()
        return [str(model["id"]) for model in answer.json()["data"]], None
    except (httpx2.HTTPError, OSError):
        return [], f"No server answers at {info.url} now: start it with `clew serve`."
    except (KeyError, TypeError, ValueError):
        return [], f"What answers at {info.url} doesn't look like Clew."
