"""The models behind the endpoints that the settings describe."""

from clew.clock import Clock
from clew.model.catalogue import DEFAULT, ModelEntry, Models
from clew.model.endpoints import endpoints_of
from clew.model.remote import RemoteModel
from clew.network import network_for
from clew.settings import Settings


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
