"""Weights from the place where their publisher serves them: one file over https, resumable."""

from pathlib import Path

import httpx2

from clew.weights.errors import SourceError
from clew.weights.files import Progress
from clew.weights.sources import Weights

# A machine without a way out has to learn so at once: there is another source to try.
_TIMEOUT = httpx2.Timeout(30.0, connect=5.0)
_OK, _PARTIAL, _BAD_RANGE = 200, 206, 416


def download(weights: Weights, draft: Path, progress: Progress) -> None:
    """Bring ``draft`` up to the size of the file, going on where an earlier attempt stopped.

    The bytes are not checked here: the caller hashes the whole.

    Raises:
        SourceError: the server could not be reached or does not serve this file.
    """
    if weights.url is None:
        raise SourceError("no publisher's address is known")
    have = draft.stat().st_size if draft.exists() else 0
    if have == weights.size:
        return
    if have > weights.size:
        draft.unlink()
        have = 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        with httpx2.stream(
            "GET", weights.url, headers=headers, timeout=_TIMEOUT, follow_redirects=True
        ) as response:
            _save(response, weights, draft, progress)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise SourceError(f"{_host(weights.url)}: {error or type(error).__name__}") from error


def _save(response: httpx2.Response, weights: Weights, draft: Path, progress: Progress) -> None:
    host = _host(str(response.url))
    if response.status_code == _BAD_RANGE:
        draft.unlink(missing_ok=True)
        raise SourceError(f"{host}: the file there has another size")
    if response.status_code not in (_OK, _PARTIAL):
        raise SourceError(f"{host}: HTTP {response.status_code}")
    # A server that doesn't know ranges answers 200 and sends everything: start again.
    resumed = response.status_code == _PARTIAL
    done = draft.stat().st_size if resumed and draft.exists() else 0
    length = response.headers.get("content-length")
    if length is not None and done + int(length) != weights.size:
        raise SourceError(f"{host}: the file there has {done + int(length)} bytes, not {weights.size}")
    with draft.open("ab" if resumed else "wb") as file:
        for block in response.iter_raw():
            file.write(block)
            done += len(block)
            if done > weights.size:
                raise SourceError(f"{host}: sends more than {weights.size} bytes")
            progress(done, weights.size, f"downloading {weights.name} from {host}")
    if done < weights.size:
        raise SourceError(f"{host}: the connection ended after {done} of {weights.size} bytes")


def _host(url: str) -> str:
    return httpx2.URL(url).host or url
