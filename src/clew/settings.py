"""Settings: flags, then ``CLEW_*`` environment variables, then ``clew.toml``, then defaults.

``clew.toml`` lies in the data directory. Secrets are never flags. This is the only module that
reads the process's environment.
"""

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

DEFAULT_PORT = 8787
_SQLITE = "sqlite:///"


def default_data_dir() -> Path:
    """Return where Clew keeps its data when CLEW_DATA_DIR does not say."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "clew"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "clew"
    return Path(os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local" / "share"))) / "clew"


class Settings(BaseSettings):
    """Everything about a server that its owner can choose."""

    model_config = SettingsConfigDict(env_prefix="CLEW_", extra="forbid", env_ignore_empty=True, frozen=True)

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(DEFAULT_PORT, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    tls: bool = Field(False, description="serve https with a certificate from Clew's own local authority")
    data_dir: Path = Field(
        default_factory=default_data_dir, description="where keys, certificates, models and the database lie"
    )
    database_url: str | None = Field(
        None,
        description="sqlite:///path, or postgresql://user@host/database; "
        "by default clew.db in the data directory",
    )
    database_connections: int = Field(
        16, ge=2, description="connections that this process opens to PostgreSQL, at most"
    )
    bus_url: str | None = Field(
        None,
        description="nats://host:4222, for several processes on one PostgreSQL database; "
        "by default this process is alone",
    )
    bus_prefix: str = Field(
        "clew",
        pattern="^[A-Za-z0-9_-]{1,32}$",
        description="begins the names of what is on the bus, so that installations can share it",
    )
    worker: bool = Field(
        True, description="whether `clew serve` works on runs too; without, `clew worker` does, over a bus"
    )
    takeover_after: float = Field(
        3.5, ge=0.5, description="seconds of silence after which another process's runs are taken over"
    )
    drain_timeout: float = Field(
        5.0, ge=0, description="seconds that runs under way are given to end when the process is to stop"
    )
    model_url: str | None = Field(
        None,
        description="a chat-completions endpoint, such as http://localhost:11434/v1; "
        "by default the embedded model",
    )
    model_api_key: SecretStr | None = Field(None, description="the key that endpoint asks for")
    model_name: str | None = Field(
        None,
        description="the one model that answers, whatever name a program asks for; "
        "by default names go through unchanged",
    )
    model_limit_field: str = Field(
        "max_completion_tokens",
        pattern="^(max_completion_tokens|max_tokens)$",
        description="what the endpoint calls the answer's token limit",
    )
    model_timeout: float = Field(120.0, gt=0, description="seconds a model may stay silent")
    model_file: Path | None = Field(None, description="a GGUF file for the embedded model")
    embedded_model: str = Field(
        "qwen2.5-coder-0.5b", description="which embedded model to load: see `clew models list`"
    )
    run_expiry: int = Field(600, ge=1, description="seconds after which an unfinished run expires")
    daily_token_budget: int | None = Field(
        None, ge=1, description="tokens that a project's runs may use on one day (UTC); by default any number"
    )
    api_key: SecretStr | None = Field(
        None, description="the key that clients must send; by default one is made in the data directory"
    )
    project: str = Field(
        "default",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="the project that the key belongs to",
    )
    max_active_runs: int = Field(
        1000, ge=1, description="runs that this process works on at once; more wait in line"
    )
    max_waiting_runs: int = Field(
        1000,
        ge=1,
        description="runs that may wait in that line; while it is full, new ones are refused (429)",
    )
    outbound_allow: str = Field(
        "",
        description="where webhooks may lead besides the public internet: host:port, addresses, networks, "
        "separated by commas",
    )
    sqlite_synchronous: str = Field(
        "FULL",
        pattern="^(FULL|NORMAL)$",
        description="NORMAL is faster, and a power cut may then lose the last commits",
    )

    @field_validator("bus_url")
    @classmethod
    def _is_nats(cls, value: str | None) -> str | None:
        for part in (value or "nats://none").split(","):
            parts = urlsplit(part.strip())
            if parts.scheme not in ("nats", "tls") or not parts.hostname:
                raise ValueError("must look like nats://localhost:4222")
        return value

    @field_validator("database_url")
    @classmethod
    def _is_database(cls, value: str | None) -> str | None:
        if value is None or (value.startswith(_SQLITE) and value != _SQLITE):
            return value
        if urlsplit(value).scheme not in ("postgresql", "postgres"):
            raise ValueError(
                "must look like sqlite:////absolute/path/clew.db, sqlite:///relative.db "
                "or postgresql://user@host/database"
            )
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        if self.bus_url is not None and not self.on_postgres:
            raise ValueError(
                "CLEW_BUS_URL is for several processes on PostgreSQL, and a SQLite file belongs to one: "
                "set CLEW_DATABASE_URL to postgresql://..., or leave the bus out"
            )
        if self.bus_url is None and not self.worker:
            raise ValueError("CLEW_WORKER=false: without CLEW_BUS_URL no other process would work on runs")
        return self

    @field_validator("model_url")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "http://none")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must look like http://localhost:11434/v1")
        return value

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        flags = init_settings()
        data_dir = flags.get("data_dir") or os.environ.get("CLEW_DATA_DIR") or default_data_dir()
        file = TomlConfigSettingsSource(settings_cls, Path(data_dir).expanduser() / "clew.toml")
        return init_settings, env_settings, file

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


def load(**flags: Any) -> Settings:
    """Return the settings in force; flags that are None count as not given."""
    return Settings(**{name: value for name, value in flags.items() if value is not None})
