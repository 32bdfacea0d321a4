"""Settings: flags, then ``CLEW_*`` environment variables, then ``clew.toml``, then defaults.

``clew.toml`` lies in the data directory. Secrets are never flags. This is the only module that
reads the process's environment. Why not pydantic-settings: docs/decisions/0011.
"""

import math
import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, get_args, get_origin
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import msgspec
from msgspec import Meta

from clew.core.tools import ServerTool

DEFAULT_PORT = 8787
_SQLITE = "sqlite:///"
_SHORTEST_SECRET = 32


def default_data_dir() -> Path:
    """Return where Clew keeps its data when CLEW_DATA_DIR does not say."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "clew"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "clew"
    return Path(os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local" / "share"))) / "clew"


def data_dir() -> Path:
    """Return the data directory that the environment names, without looking at any other setting."""
    named = os.environ.get("CLEW_DATA_DIR")
    return Path(named).expanduser().absolute() if named else default_data_dir()


def config_dir() -> Path:
    """Return where this person's own configuration of the command line lies."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", str(Path.home()))) / "clew"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "clew"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "clew"


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for a URL (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), if any."""
    parts = urlsplit(url.strip())
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = getproxies().get(parts.scheme)
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def authorities() -> Path | None:
    """Return the file or folder of authorities that REQUESTS_CA_BUNDLE names, if any."""
    named = os.environ.get("REQUESTS_CA_BUNDLE")
    return Path(named) if named else None


def editor() -> str | None:
    """Return the person's editor: what VISUAL or EDITOR names, if one does."""
    return os.environ.get("VISUAL") or os.environ.get("EDITOR") or None


def from_libpq(name: str) -> str | None:
    """Return what the environment tells all programs that use PostgreSQL: PGHOST, PGSSLMODE and the like."""
    return os.environ.get(name)


def bare_environment() -> dict[str, str]:
    """Return the environment of a child that is to know nothing: where libraries lie, at most."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}


def foreign_secrets() -> list[str]:
    """Return the variables of this process that hold, or may hold, secrets that no code worker may have."""
    ours = [f"CLEW_{name.upper()}" for name in NOT_FOR_CODE_WORKERS]
    files = [f"{name}_FILE" for name in ours]
    return [name for name in (*ours, *files, *_SECRETS_OF_OTHERS) if os.environ.get(name)]


def named_secret_files() -> list[str]:
    """Return the variables that name files with secrets which a code worker may have."""
    names = ("CLEW_BUS_CREDENTIALS", "CLEW_BUS_URL_FILE", "CLEW_CODE_KEY_FILE")
    return [name for name in names if os.environ.get(name)]


class Secret:
    """Text that shows itself only when asked to."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(...)"


class WrongSettings(ValueError):
    """Settings that can't be; the message has every one, by name, and what it must be."""


def _about(text: str, **limits: Any) -> Meta:
    return Meta(description=text, **limits)


SERVER_TOOLS = tuple(sorted(str(kind.__struct_config__.tag) for kind in get_args(ServerTool)))
"""The kinds that ``server_tools`` may name."""


FROM_FILES = (
    "api_key", "secret_key", "code_key", "model_api_key", "embeddings_key", "database_url", "bus_url"
)  # fmt: skip
"""Settings that are secrets, or may hold one: each can stand in a file that ``CLEW_<NAME>_FILE`` names."""


NOT_FOR_CODE_WORKERS = (
    "api_key", "secret_key", "model_api_key", "embeddings_key", "database_url", "models"
)  # fmt: skip
"""Settings that a code worker must not have: code that a model wrote runs beside it."""

_SECRETS_OF_OTHERS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD", "PGPASSFILE")

Sandbox: TypeAlias = Literal["auto", "bwrap", "landlock", "wasm", "outer", "remote", "off"]
"""Where code of code_interpreter may run."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a server that its owner can choose; :func:`load` makes one."""

    host: Annotated[str, _about("address to listen on")] = "127.0.0.1"
    port: Annotated[int, _about("port to listen on; 0 takes a free one", ge=0, le=65535)] = DEFAULT_PORT
    tls: Annotated[bool, _about("serve https with a certificate from Clew's own local authority")] = False
    data_dir: Annotated[Path, _about("where keys, certificates, models and the database lie")] = (
        msgspec.field(default_factory=default_data_dir)
    )
    database_url: Annotated[
        str | None,
        _about(
            "sqlite:///path, or postgresql://user@host/database; by default clew.db in the data directory"
        ),
    ] = None
    database_connections: Annotated[
        int, _about("connections that this process opens to PostgreSQL, at most", ge=2)
    ] = 16
    bus_url: Annotated[
        str | None,
        _about(
            "nats://host:4222, for several processes on one PostgreSQL database; "
            "by default this process is alone"
        ),
    ] = None
    bus_prefix: Annotated[
        str,
        _about(
            "begins the names of what is on the bus, so that installations can share it",
            pattern=r"^[A-Za-z0-9_-]{1,32}\Z",
        ),
    ] = "clew"
    bus_ca: Annotated[
        Path | None,
        _about(
            "a PEM file of the authorities that may have signed a tls:// bus's certificate, "
            "where the system's have not"
        ),
    ] = None
    bus_credentials: Annotated[
        Path | None,
        _about(
            "a file that lets this process in at the bus: an nkey's seed or a .creds file, "
            "as the bus's accounts want it"
        ),
    ] = None
    worker: Annotated[
        bool, _about("whether `clew serve` works on runs too; without, `clew worker` does, over a bus")
    ] = True
    takeover_after: Annotated[
        float, _about("seconds of silence after which another process's runs are taken over", ge=0.5)
    ] = 3.5
    keep_alive: Annotated[
        int,
        _about(
            "seconds for which an idle connection stays open: longer than a proxy before it keeps one",
            ge=1,
            le=86_400,
        ),
    ] = 75
    drain_timeout: Annotated[
        float, _about("seconds that runs under way are given to end when the process is to stop", ge=0)
    ] = 5.0
    model_url: Annotated[
        str | None,
        _about(
            "a chat-completions endpoint, such as http://localhost:11434/v1; by default the embedded model"
        ),
    ] = None
    model_api_key: Annotated[Secret | None, _about("the key that endpoint asks for")] = None
    model_name: Annotated[
        str | None,
        _about(
            "the one model that answers, whatever name a program asks for; "
            "by default names go through unchanged"
        ),
    ] = None
    model_limit_field: Annotated[
        Literal["max_completion_tokens", "max_tokens"],
        _about("what the endpoint calls the answer's token limit; a refusal teaches it too"),
    ] = "max_completion_tokens"
    model_timeout: Annotated[
        float, _about("seconds a model may stay silent: more for one that thinks long before it speaks", gt=0)
    ] = 120.0
    model_retry_for: Annotated[
        float,
        _about(
            "seconds over which a model that does not answer is asked again: more where runs may wait, "
            "fewer where somebody waits for them",
            ge=0,
        ),
    ] = 60.0
    models: Annotated[
        dict[str, dict[str, Any]],
        _about(
            "several models: as JSON, by the name that agents ask for, each as the table [models.NAME] "
            "of clew.toml would be; docs/models.md"
        ),
    ] = {}
    model_file: Annotated[Path | None, _about("a GGUF file for the embedded model")] = None
    embedded_model: Annotated[str, _about("which embedded model to load: see `clew models list`")] = (
        "qwen2.5-coder-0.5b"
    )
    embeddings_url: Annotated[
        str | None,
        _about(
            "where texts become vectors for search: an endpoint for embeddings, such as "
            "https://api.openai.com/v1; none searches by words alone; by default all-MiniLM-L6-v2, "
            "on this machine's processors"
        ),
    ] = None
    embeddings_model: Annotated[
        str | None,
        _about("what that endpoint calls its model; vectors of different models can't be compared"),
    ] = None
    embeddings_key: Annotated[Secret | None, _about("the key that endpoint asks for")] = None
    run_expiry: Annotated[int, _about("seconds after which an unfinished run expires", ge=1)] = 600
    daily_token_budget: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        _about("tokens that a project's runs may use on one day (UTC); by default any number"),
    ] = None
    api_key: Annotated[
        Secret | None,
        _about("the key that clients must send; by default one is made in the data directory"),
    ] = None
    secret_key: Annotated[
        Secret | None,
        _about(
            "the installation's secret, 32 characters or more, the same for all processes on one database; "
            "by default, where one is needed, it is made in the data directory"
        ),
    ] = None
    code_key: Annotated[
        Secret | None,
        _about(
            "what a code worker has instead of the installation's secret: `clew secrets code-key` prints it"
        ),
    ] = None
    project: Annotated[
        str,
        _about("the project that the key belongs to", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"),
    ] = "default"
    max_active_runs: Annotated[
        int, _about("runs that this process works on at once; more wait in line", ge=1)
    ] = 1000
    max_waiting_runs: Annotated[
        int,
        _about("runs that may wait in that line; while it is full, new ones are refused (429)", ge=1),
    ] = 1000
    files_url: Annotated[
        str,
        _about(
            "where the bytes of files are kept: file: in the data directory, file:///path for a folder that "
            "several machines share, s3://bucket/prefix?endpoint=URL where they share none, db: for rows of "
            "PostgreSQL",
        ),
    ] = "file:"
    server_tools: Annotated[
        str,
        _about(
            f"tools of Clew's own that agents may use, separated by commas: {', '.join(SERVER_TOOLS)}; "
            "by default none"
        ),
    ] = ""
    sandbox: Annotated[
        Sandbox,
        _about(
            "where code of code_interpreter runs: auto takes the strongest that holds here and refuses if "
            "none does; off runs none"
        ),
    ] = "auto"
    sandbox_sessions: Annotated[
        int,
        _about("sessions of code that a process keeps at once: each may take half a gigabyte", ge=1),
    ] = 8
    sandbox_python: Annotated[
        Path | None,
        _about(
            "the Python that code runs on, with its packages: bin/python of a venv; by default the one that "
            "`clew code setup` made"
        ),
    ] = None
    outbound_allow: Annotated[
        str,
        _about(
            "where webhooks and images by URL may lead besides the public internet: host:port, addresses, "
            "networks, separated by commas"
        ),
    ] = ""
    image_urls: Annotated[
        Literal["fetch", "pass", "off"],
        _about(
            "what becomes of images that messages give by URL: fetch has this server get them, pass leaves "
            "that to the model's endpoint, off shows them to no model"
        ),
    ] = "fetch"
    trusted_proxies: Annotated[
        str,
        _about(
            "addresses and networks, separated by commas, of the proxies before this server: only from these "
            "X-Forwarded-For, -Proto and -Prefix are believed; by default from nobody"
        ),
    ] = ""
    log_format: Annotated[
        Literal["console", "json"],
        _about("json where machines read the log: an object a line; console is for people"),
    ] = "console"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        _about(
            "the least that is logged: warning leaves out runs that went well, debug is for finding faults"
        ),
    ] = "info"
    access_log: Annotated[
        Literal["trouble", "all", "off"],
        _about(
            "requests that are logged: trouble is failed authentication, statuses from 500 on, and what took "
            "more than a second; all where nothing before the server logs them"
        ),
    ] = "trouble"
    sqlite_synchronous: Annotated[
        Literal["FULL", "NORMAL"],
        _about("NORMAL is faster, and a power cut may then lose the last commits"),
    ] = "FULL"

    @property
    def server_tool_kinds(self) -> tuple[str, ...]:
        """The kinds of tools that ``server_tools`` names."""
        return tuple(kind.strip() for kind in self.server_tools.split(",") if kind.strip())

    @property
    def on_postgres(self) -> bool:
        """Whether the database is PostgreSQL."""
        return self.database_url is not None and not self.database_url.startswith(_SQLITE)

    @property
    def sqlite_path(self) -> Path:
        """The path of the SQLite database, where the database is one."""
        if self.database_url is None:
            return self.data_dir / "clew.db"
        return Path(self.database_url.removeprefix(_SQLITE)).absolute()


class About(NamedTuple):
    """What is known of one setting: what it's for, its type without limits, and its default."""

    description: str
    kind: Any
    default: Any


def about(name: str) -> About:
    """Return what is known of the setting ``name``; a default that has to be made is ``NODEFAULT``."""
    field = _FIELDS[name]
    kind, meta = get_args(field.type)
    return About(meta.description, kind, field.default)


_FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}


def load(**flags: Any) -> Settings:
    """Return the settings in force; flags that are None count as not given.

    Raises:
        WrongSettings: one of them can't be, or clew.toml can't be read.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    environment = _environment()
    data_dir = given.get("data_dir") or environment.get("data_dir") or default_data_dir()
    read, unread = _secret_files(environment)
    file = _file(Path(data_dir).expanduser() / "clew.toml")
    values, wrong = _converted({**file, **environment, **read, **given})
    wrong += unread
    if not wrong:
        settings = Settings(**values)
        wrong = _misfits(settings)
    if wrong:
        raise WrongSettings("; ".join(wrong))
    return settings


def _environment() -> dict[str, str]:
    variables = {name: os.environ.get(f"CLEW_{name.upper()}") for name in _FIELDS}
    return {name: value for name, value in variables.items() if value}


def _secret_files(environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the settings whose value stands in a file that ``CLEW_<NAME>_FILE`` names, and what is wrong.

    Containers and systemd hand over secrets as files; a variable would show in ``docker inspect`` and /proc.
    """
    values, wrong = {}, []
    for name in FROM_FILES:
        variable = f"CLEW_{name.upper()}_FILE"
        path = os.environ.get(variable)
        if not path:
            continue
        try:
            values[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            wrong.append(f"{variable}: {path} can't be read: {getattr(error, 'strerror', None) or error}")
            continue
        if not values[name]:
            wrong.append(f"{variable}: {path} is empty")
        if name in environment:
            wrong.append(f"{variable}: CLEW_{name.upper()} is set too; leave one of them out")
    return values, wrong


def _file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise WrongSettings(f"{path}: {error}") from None
    unknown = sorted(values.keys() - _FIELDS.keys())
    if unknown:
        raise WrongSettings(f"{path}: there is no setting {', '.join(unknown)}")
    return values


def _converted(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the values as their settings want them, and what is wrong with the others."""
    values, wrong = {}, []
    for name, value in given.items():
        try:
            values[name] = _convert(name, value)
        except msgspec.ValidationError:
            wrong.append(f"CLEW_{name.upper()}: must be {_wanted(name)}")
        except ValueError as error:
            wrong.append(f"CLEW_{name.upper()}: {error}")
    return values, wrong


_SWITCHES = {"on": True, "yes": True, "off": False, "no": False}


def _convert(name: str, value: Any) -> Any:
    if name == "models" and isinstance(value, str):
        value = _json(value)
    if _FIELDS[name].type.__origin__ is bool and isinstance(value, str):
        value = _SWITCHES.get(value.lower(), value)
    value = msgspec.convert(value, _FIELDS[name].type, strict=False, dec_hook=_from_text)
    if value == math.inf:
        raise ValueError("must be a number that is not infinite")
    check = _CHECKS.get(name)
    return check(value) if check and value is not None else value


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise ValueError("must be a JSON object") from None


def _from_text(kind: type, value: object) -> object:
    if isinstance(value, kind):
        return value
    if not isinstance(value, str):
        raise TypeError("must be text")
    return kind(value)


def _wanted(name: str) -> str:
    """Say what a setting's value must be, from its type and limits; never what it is: it may be a secret."""
    kind, meta = get_args(_FIELDS[name].type)
    choices = get_args(kind)
    if choices and all(isinstance(choice, str) for choice in choices):
        return " or ".join(choices)
    if choices and get_origin(choices[0]) is Annotated:  # limits of the value, where there may be none
        kind, meta = get_args(choices[0])
    limits = [(" from ", meta.ge), (" above ", meta.gt), (" to ", meta.le)]
    said = "".join(f"{word}{limit}" for word, limit in limits if limit is not None)
    if meta.pattern is not None:
        said = f" that matches {meta.pattern}"
    named = {int: "a whole number", float: "a number", bool: "true or false", dict: "an object of objects"}
    return named.get(get_origin(kind) or kind, "text") + said


def _nats(value: str) -> str:
    for part in value.split(","):
        parts = urlsplit(part.strip())
        if parts.scheme not in ("nats", "tls") or not parts.hostname:
            raise ValueError("must look like nats://localhost:4222")
    return value


def _secret_key(value: Secret) -> Secret:
    if len(value.reveal().strip()) < _SHORTEST_SECRET:
        raise ValueError(f"must have {_SHORTEST_SECRET} characters or more: openssl rand -hex 32 makes one")
    return value


def _database(value: str) -> str:
    if value.startswith(_SQLITE) and value != _SQLITE:
        return value
    if urlsplit(value).scheme not in ("postgresql", "postgres"):
        raise ValueError(
            "must look like sqlite:////absolute/path/clew.db, sqlite:///relative.db "
            "or postgresql://user@host/database"
        )
    return value


def _http(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must look like http://localhost:11434/v1")
    return value


def _http_or_none(value: str) -> str:
    return value if value == "none" else _http(value)


def _absolute(value: Path) -> Path:
    return value.expanduser().absolute()


def _server_tools(value: str) -> str:
    unknown = sorted({kind.strip() for kind in value.split(",") if kind.strip()} - set(SERVER_TOOLS))
    if unknown:
        raise ValueError(f"there is no tool {', '.join(unknown)}; there are {', '.join(SERVER_TOOLS)}")
    return value


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "bus_url": _nats,
    "database_url": _database,
    "model_url": _http,
    "embeddings_url": _http_or_none,
    "data_dir": _absolute,
    "bus_ca": _absolute,
    "bus_credentials": _absolute,
    "secret_key": _secret_key,
    "code_key": _secret_key,
    "server_tools": _server_tools,
}


def _misfits(settings: Settings) -> list[str]:
    """Return what is wrong with settings that are right by themselves."""
    if settings.sandbox == "remote" and settings.bus_url is None:
        return ["CLEW_SANDBOX: remote needs CLEW_BUS_URL, over which code workers are reached"]
    if settings.bus_url is not None and not settings.on_postgres and settings.code_key is None:
        return [
            "CLEW_BUS_URL: is for several processes on PostgreSQL, and a SQLite file belongs to one: "
            "set CLEW_DATABASE_URL to postgresql://..., or leave the bus out"
        ]
    if settings.bus_ca is not None and "nats://" in (settings.bus_url or ""):
        return ["CLEW_BUS_CA: says whose certificates to trust, so CLEW_BUS_URL must be tls://... throughout"]
    if settings.embeddings_url not in (None, "none") and settings.embeddings_model is None:
        return ["CLEW_EMBEDDINGS_URL: needs CLEW_EMBEDDINGS_MODEL, the name of the endpoint's model"]
    if settings.bus_url is None and not settings.worker:
        return ["CLEW_WORKER: false, and without CLEW_BUS_URL no other process would work on runs"]
    return []
