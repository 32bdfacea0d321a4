"""The endpoints that the settings describe."""

import ssl
from urllib.parse import urlsplit

import msgspec

from clew.clock import Clock
from clew.core.options import Json
from clew.model.catalogue import DEFAULT, ModelEntry, Models
from clew.model.endpoint import Endpoint
from clew.model.remote import Network, RemoteModel
from clew.settings import Settings, WrongSettings, authorities, proxy_for

_LONGEST_NAME = 256
_OTHER_KEYS = ("key_file", "key_command")


def endpoints_of(settings: Settings) -> dict[str, Endpoint]:
    """Return the endpoints by name: the tables, and the default as the settings of one model fill it.

    Raises:
        WrongSettings: one of them can't be; the message names every one, and shows no secret.
    """
    tables: dict[str, Json] = {name: dict(table) for name, table in settings.models.items()}
    if (default := _default(settings)) or DEFAULT in tables:
        table = tables.get(DEFAULT, {})
        if "key" in default:
            table = {field: value for field, value in table.items() if field not in _OTHER_KEYS}
        tables[DEFAULT] = table | default
    found, wrong = {}, []
    for name, table in tables.items():
        try:
            found[name] = _endpoint(name, table)
        except ValueError as error:
            wrong.append(_named(name, str(error), settings))
    for name, endpoint in found.items():
        if endpoint.fallback is not None and endpoint.fallback not in tables:
            wrong.append(
                f"models.{name}: fallback names no other model: there are {', '.join(sorted(tables))}"
            )
    if wrong:
        raise WrongSettings("; ".join(wrong))
    return found


def _named(name: str, problem: str, settings: Settings) -> str:
    """Return what is wrong, under the name of the setting that its owner knows."""
    part, _, rest = problem.partition(" ")
    if name == DEFAULT and part == "url" and settings.model_url is not None:
        return f"CLEW_MODEL_URL: {rest}"
    if name == DEFAULT and part == "key" and settings.model_api_key is not None:
        return f"CLEW_MODEL_API_KEY: {rest}"
    return f"models.{name}: {problem}"


def _default(settings: Settings) -> Json:
    """Return what the settings of one model say of the default."""
    given: Json = {}
    if settings.model_url is not None:
        given["url"] = settings.model_url
    if settings.model_api_key is not None:
        given["key"] = settings.model_api_key.reveal()
    if settings.model_name is not None:
        given["name"] = settings.model_name
    if settings.model_limit_field != "max_completion_tokens":
        given["limit_field"] = settings.model_limit_field
    has_url = settings.model_url is not None or DEFAULT in settings.models
    return given if has_url else {}


def _endpoint(name: str, table: Json) -> Endpoint:
    if not 0 < len(name) <= _LONGEST_NAME:
        raise ValueError(f"a model's name has 1 to {_LONGEST_NAME} characters")
    try:
        return msgspec.convert(table, Endpoint)
    except msgspec.ValidationError as error:
        raise ValueError(str(error).replace(" - at `$`", "").replace("`$.", "`")) from None


def make_remote_models(settings: Settings, clock: Clock) -> Models | None:
    """Return the models behind the endpoints that the settings name; None if they name none.

    Raises:
        WrongSettings: one of them can't be.
    """
    endpoints = endpoints_of(settings)
    if not endpoints:
        return None
    entries = {
        name: ModelEntry(
            RemoteModel(
                endpoint, timeout=settings.model_timeout, clock=clock, network=network_for(endpoint.url)
            ),
            endpoint.name if name == DEFAULT else endpoint.name or name,
            int(1000 * (settings.model_retry_for if endpoint.retry_for is None else endpoint.retry_for)),
            endpoint.fallback,
            endpoint.prices,
        )
        for name, endpoint in endpoints.items()
    }
    default = endpoints.get(DEFAULT)
    names = (default.name,) if default is not None and default.name else ()
    return Models(entries, names)


def network_for(url: str) -> Network:
    """Return how an endpoint that the operator names is reached: as the environment says."""
    secure = urlsplit(url).scheme == "https"
    return Network(proxy_for(url), _trusted() if secure else None)


def _trusted() -> ssl.SSLContext:
    context = ssl.create_default_context()  # knows SSL_CERT_FILE and SSL_CERT_DIR by itself
    if (path := authorities()) is not None:
        try:
            if path.is_dir():
                context.load_verify_locations(capath=path)
            else:
                context.load_verify_locations(cafile=path)
        except OSError as error:
            raise WrongSettings(f"REQUESTS_CA_BUNDLE: cannot be read: {error.strerror}") from None
    return context
