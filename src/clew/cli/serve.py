"""``clew serve``."""

import logging
import os
import shlex
import signal
import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from clew.cli import certificates, keys, server_file
from clew.cli.exposure import warn_about_network
from clew.cli.options import load_settings, setting
from clew.cli.problems import FAILED, NOT_FOUND, USAGE, Problem
from clew.clock import SystemClock
from clew.settings import Settings, default_data_dir
from clew.store.folders import private_directory

_log = logging.getLogger(__name__)


@click.command(
    epilog="Flags win over environment variables, those over clew.toml in the data directory. "
    "Secrets are never flags: CLEW_API_KEY, CLEW_MODEL_API_KEY, CLEW_SECRET_KEY."
)
@setting("host", "--host")
@setting("port", "--port")
@setting("tls", "--tls")
@setting("database_url", "--database")
@setting("bus_url", "--bus")
@setting("worker", "--worker")
@setting("model_url", "--model-url")
@setting("data_dir", "--data-dir")
@click.option(
    "own_bundle",
    "--own-ca-bundle",
    type=click.Path(path_type=Path),
    envvar=["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"],
    help="with --tls: authorities that your programs trust already, kept in what `clew env` names"
    "  [REQUESTS_CA_BUNDLE, SSL_CERT_FILE]",
)
def serve(own_bundle: Path | None, **flags: Any) -> None:
    """Serve threads and runs."""
    settings = load_settings(**flags)
    check_addresses(settings)
    key, secret, certificate = _private_files(settings, own_bundle)
    # A plain SIGTERM would end the process before the `finally` below, and before stdout is flushed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    from clew.blobs.open import WrongBlobs
    from clew.bus.bus import BusError
    from clew.http.serve import run
    from clew.store.database import StoreError
    from clew.telemetry.writer import logging_as

    with logging_as(settings, [key]):
        check_key(settings, key)
        warn_about_model(settings)
        warn_about_network(settings)
        try:
            run(
                settings,
                api_key=key,
                certificate=certificate,
                works=settings.worker,
                on_ready=_announcer(settings),
                secret=secret,
            )
        except (StoreError, BusError) as error:
            raise Problem.of(error) from None
        except WrongBlobs as error:
            raise Problem(str(error), USAGE) from None
        finally:
            server_file.remove(settings.data_dir, os.getpid())


_Private = tuple[str, bytes, tuple[Path, Path] | None]


def _private_files(settings: Settings, own_bundle: Path | None) -> _Private:
    """Return the key, the installation's secret, and where needed the paths of a certificate and its key.

    Raises:
        Problem: one can't be read or made; the message says what to do.
    """
    try:
        private_directory(settings.data_dir)
        key = keys.api_key(settings)
        secret = keys.installation_secret(settings)
        if not settings.tls:
            return key, secret, None
        made = certificates.ensure(settings.data_dir, settings.host, SystemClock().now(), own_bundle)
    except OSError as error:
        raise Problem(
            f"Cannot use the data directory {settings.data_dir}: {error.strerror or error}. "
            "Make room, let Clew's user write there, or choose another with --data-dir.",
            NOT_FOUND if isinstance(error, PermissionError) else FAILED,
        ) from None
    return key, secret, (made.cert, made.key)


def check_key(settings: Settings, key: str) -> None:
    """Refuse a key that can be guessed where others reach the server; warn of it on loopback, and of http.

    Raises:
        Problem: with what to do.
    """
    try:
        alone = ip_address(settings.host).is_loopback
    except ValueError:
        alone = settings.host == "localhost"
    weak = keys.weakness(key)
    if not key.strip():
        raise Problem("CLEW_API_KEY is blank: unset it to have a key made", USAGE)
    if weak is not None and not alone:
        raise Problem(
            f"the API key {weak}, and {settings.host} can be reached from elsewhere: unset CLEW_API_KEY and "
            "delete the file api-key to have one made, or set 32 random characters",
            USAGE,
        )
    if weak is not None:
        _log.warning("the API key %s: every program of this machine can guess it", weak)
    if not alone and not settings.tls:
        _log.warning(
            "%s can be reached from elsewhere, and without --tls keys and words cross the network for all to "
            "read, unless a proxy on this machine speaks https",
            settings.host,
        )


def check_addresses(settings: Settings) -> None:
    """Say now what is wrong with CLEW_OUTBOUND_ALLOW, CLEW_TRUSTED_PROXIES or CLEW_CODE_KEY.

    Raises:
        Problem: with the words for it.
    """
    from clew.http.proxies import TrustedProxies
    from clew.net.guard import Guard

    if settings.code_key is not None:
        raise Problem(
            "CLEW_CODE_KEY is for `clew code-worker` alone: servers make it from their secret", USAGE
        )
    read = {"outbound_allow": Guard, "trusted_proxies": TrustedProxies}
    for name, kind in read.items():
        try:
            if given := getattr(settings, name):
                kind(given)
        except ValueError as error:
            raise Problem(f"CLEW_{name.upper()}: {error}", USAGE) from None


def _announcer(settings: Settings) -> Callable[[str], None]:
    def announce(url: str) -> None:
        info = server_file.ServerInfo(
            url=url.rstrip("/"),
            project=settings.project,
            tls=settings.tls,
            pid=os.getpid(),
            model=model_to_ask_for(settings),
        )
        server_file.write(settings.data_dir, info)
        if settings.log_format == "json":  # whoever reads it may read stdout too
            _log.info("Clew is ready at %s", info.url)
        else:
            click.echo(_banner(settings, info))

    return announce


def model_to_ask_for(settings: Settings) -> str | None:
    """Return a model's name that this server surely answers to, or None if names go through."""
    if settings.model_name is not None:
        return settings.model_name
    if settings.model_url is not None:
        return None
    return settings.embedded_model


def _banner(settings: Settings, info: server_file.ServerInfo) -> str:
    key = keys.key_path(settings) if settings.api_key is None else "CLEW_API_KEY"
    data = settings.data_dir if settings.database_url is None else without_password(settings.database_url)
    lines = [
        f"Clew is ready at {info.url}",
        f"  project endpoint  {info.url}/api/projects/{info.project}",
        f"  openai base URL   {info.url}/v1",
        f"  key               {key}",
        f"  model             {_model(settings)}",
        f"  data              {data}",
        "",
        "In the shell of your programs:",
        f'  eval "$(clew env{_data_dir_flag(settings)})"',
    ]
    return "\n".join(lines)


def _data_dir_flag(settings: Settings) -> str:
    if settings.data_dir == default_data_dir().absolute():
        return ""
    return f" --data-dir {shlex.quote(str(settings.data_dir))}"


def _model(settings: Settings) -> str:
    if settings.model_url is not None:
        from clew.model.endpoint import shown_address

        name = f"{settings.model_name} at " if settings.model_name else ""
        return f"{name}{shown_address(settings.model_url)}"
    if settings.model_file is not None:
        return f"embedded, from {settings.model_file}"
    return f"embedded {settings.embedded_model}, good enough to try things: --model-url names a real one"


def without_password(url: str) -> str:
    """Return a URL as it may be shown: also its query may hold a password."""
    parts = urlsplit(url)
    if "@" not in parts.netloc and not parts.query:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def warn_about_model(settings: Settings) -> None:
    """Say now what would otherwise fail, or take long, in the first run."""
    if settings.model_url is not None:
        return
    from clew.weights.machine import obstacle

    trouble = obstacle()
    if trouble is not None:
        _log.warning("%s. Until then every run fails.", trouble)
    elif settings.model_file is None:
        _note_download(settings)


def _note_download(settings: Settings) -> None:
    from clew.model.embedded import WeightsError, find
    from clew.model.embedded.weights import cached_path

    try:
        weights = find(settings.embedded_model)
    except WeightsError as error:
        _log.warning("%s. Until then every run fails.", error)
        return
    if not cached_path(weights, settings.data_dir).is_file():
        size = f"{weights.size / 1e6:.0f} MB"
        _log.info("the first run fetches %s (%s). `clew models pull` does it now.", weights.name, size)
