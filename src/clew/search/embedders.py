"""Which embedder the settings name."""

from clew.clock import Clock
from clew.search.embedder import Embedder
from clew.settings import Settings

NONE = "none"
"""What CLEW_EMBEDDINGS_URL says where nothing is to be embedded."""


def make_embedder(settings: Settings, clock: Clock) -> Embedder | None:
    """Return the embedder that the settings name; None where search is by words alone.

    Nothing is started, fetched or asked before texts come.

    Raises:
        WrongSettings: the authorities that the environment names can't be read.
    """
    if settings.embeddings_url == NONE:
        return None
    if settings.embeddings_url is None:
        from clew.search.embedded_embedder import EmbeddedEmbedder

        return EmbeddedEmbedder(settings.data_dir, clock)
    from clew.network import network_for
    from clew.search.remote_embedder import RemoteEmbedder

    key = settings.embeddings_key
    return RemoteEmbedder(
        settings.embeddings_url,
        settings.embeddings_model or "default",
        key=key.reveal().strip() if key is not None else None,
        clock=clock,
        network=network_for(settings.embeddings_url),
    )
