"""The endpoints that the settings describe."""

import msgspec

from clew.core.options import Json
from clew.model.catalogue import DEFAULT
from clew.model.endpoint import Endpoint
from clew.settings import Settings, WrongSettings

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
