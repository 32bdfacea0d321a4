"""Opens the store of blobs that the settings name."""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from clew.blobs.blobs import Blobs
from clew.blobs.folder import Folder
from clew.blobs.objects import Bucket, Objects
from clew.installing import how_to_add

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""

_PREFIX = re.compile(r"[A-Za-z0-9._/-]{0,200}")
_REGION = re.compile(r"[A-Za-z0-9-]{1,40}")


class WrongBlobs(ValueError):
    """No store of blobs can be opened like that; the message says why."""


def open_blobs(url: str, data_dir: Path) -> Blobs:
    """Return the store outside of the database that ``CLEW_FILES_URL`` names.

    Raises:
        WrongBlobs: there is none of that kind, or it can't be; the message holds no secret.
    """
    scheme, _, _ = url.partition(":")
    if (folder := folder_of(url, data_dir)) is not None:
        return Folder(folder)
    if scheme != "s3":
        raise WrongBlobs("CLEW_FILES_URL begins with file:, s3:// or, where the database is PostgreSQL, db:")
    bucket = _bucket(url)
    try:
        return Objects(bucket)
    except ImportError:
        raise WrongBlobs(
            f"CLEW_FILES_URL names S3, for which obstore is missing: {how_to_add('s3')}"
        ) from None
    except ValueError as error:
        raise WrongBlobs(f"CLEW_FILES_URL: {error}") from None


def folder_of(url: str, data_dir: Path) -> Path | None:
    """Return the folder that ``CLEW_FILES_URL`` names; None if blobs lie elsewhere."""
    scheme, _, rest = url.partition(":")
    if scheme != "file":
        return None
    path = rest.removeprefix("//")
    return Path(path).expanduser() if path else data_dir / "files"


def _bucket(url: str) -> Bucket:
    """Read ``s3://bucket/prefix?endpoint=URL&region=R``.

    Raises:
        WrongBlobs: it is something else, or holds credentials.
    """
    parts = urlsplit(url)
    asked = parse_qs(parts.query, keep_blank_values=True)
    endpoint, region = (asked.get(name, [""])[-1] or None for name in ("endpoint", "region"))
    if "@" in parts.netloc or "@" in (endpoint or ""):
        raise WrongBlobs(
            "CLEW_FILES_URL holds no credentials: they are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if unknown := set(asked) - {"endpoint", "region"}:
        raise WrongBlobs(f"CLEW_FILES_URL knows endpoint= and region=, and not {min(unknown)[:40]!r}")
    if _BUCKET.fullmatch(parts.netloc) is None or _PREFIX.fullmatch(parts.path) is None:
        raise WrongBlobs("CLEW_FILES_URL is s3://bucket/prefix, with a bucket's name and a plain prefix")
    if region is not None and _REGION.fullmatch(region) is None:
        raise WrongBlobs("CLEW_FILES_URL: region= is such as eu-central-1")
    if endpoint is not None and not (
        endpoint.startswith(("http://", "https://")) and urlsplit(endpoint).netloc
    ):
        raise WrongBlobs("CLEW_FILES_URL: endpoint= is a URL, such as https://s3.example.com")
    return Bucket(parts.netloc, parts.path.strip("/") or None, endpoint, region)
