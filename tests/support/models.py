"""Models for tests that ask none."""

from clew.clock import SystemClock
from clew.model.catalogue import Models, one_model
from clew.model.endpoint import Endpoint
from clew.model.remote import RemoteModel


def unasked_models() -> Models:
    """Return models that answer to every name, and that nobody asks."""
    return one_model(RemoteModel(Endpoint(url="http://127.0.0.1:9/v1"), timeout=1, clock=SystemClock()))
