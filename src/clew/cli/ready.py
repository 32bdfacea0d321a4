"""``python -m clew.cli.ready``: whether the server of this data directory is ready, for supervisors.

It asks ``/readyz`` where ``server.json`` says that the server is, past any proxy, and trusts the authority
that ``--tls`` made. Exit code 0: ready; 1: not ready, not there, or no answer within three seconds. It
imports little, since a container engine starts it every few seconds.
"""

import http.client
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit

from clew.cli import server_file
from clew.settings import data_dir

_TIMEOUT = 3.0


def problem(folder: Path) -> str | None:
    """Return why the server of a data directory is not ready, or None if it is."""
    info = server_file.read(folder)
    if info is None:
        return f"no server has said that it runs on {folder}"
    try:
        connection = _connection(info, folder)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            said = answer.read().decode("utf-8", "replace")
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        return f"{info.url} does not answer: {error}"
    return None if answer.status == http.HTTPStatus.OK else f"{info.url} is not ready: {said.strip()}"


def _connection(info: server_file.ServerInfo, folder: Path) -> http.client.HTTPConnection:
    netloc = urlsplit(info.url).netloc
    if not info.tls:
        return http.client.HTTPConnection(netloc, timeout=_TIMEOUT)
    from clew.cli.certificates import paths

    trust = ssl.create_default_context(cafile=paths(folder).bundle)
    return http.client.HTTPSConnection(netloc, timeout=_TIMEOUT, context=trust)


if __name__ == "__main__":
    sys.exit(problem(data_dir()))
