"""How an endpoint is reached: as the environment says."""

import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

from clew.settings import WrongSettings, authorities, proxy_for


class Network(NamedTuple):
    """How an endpoint is reached: through a proxy, and whom its certificate must come from."""

    proxy: str | None = None
    tls: ssl.SSLContext | None = None


DIRECT = Network()
"""Without a proxy, trusting what the system trusts."""


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
