"""What every store of blobs does: a folder, rows of PostgreSQL, and S3 as moto's server speaks it."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import pytest

from clew.blobs.blobs import BlobMissing, Blobs, BlobsAway, BlobsHeld, Found
from clew.blobs.folder import Folder
from clew.blobs.hold import holding
from clew.blobs.open import WrongBlobs, open_blobs
from clew.clock import SystemClock
from clew.core.errors import FileTooLarge
from clew.engine.blob_rows import MOST_BYTES, BlobRows
from tests.blobs.moto import Moto
from tests.support.postgres import free_port
from tests.support.store import opened

BYTES = random.Random(1).randbytes(17 * 1024 * 1024 + 5)
"""Two parts of an upload to S3 and a rest; many of rows and of pieces."""

Use: TypeAlias = Callable[[Callable[[Blobs], Awaitable[None]]], None]


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A server that speaks as S3 does, with the bucket ``clew-files``."""
    with Moto() as moto:
        yield moto.url


@pytest.fixture(params=["folder", "rows", pytest.param("s3", marks=pytest.mark.foreign)])
def use(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Use:
    """Runs a function with a store of blobs."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")

    @asynccontextmanager
    async def store() -> AsyncIterator[Blobs]:
        if request.param == "folder":
            yield Folder(tmp_path / "files")
        elif request.param == "s3":
            name = f"p{sha256(request.node.name.encode()).hexdigest()[:16]}"
            yield open_blobs(f"s3://clew-files/{name}?endpoint={place}&region=us-east-1", tmp_path)
        else:
            async with opened(place) as db:
                yield BlobRows(db, SystemClock())

    place = (
        ""
        if request.param == "folder"
        else request.getfixturevalue("s3" if request.param == "s3" else "postgres_url")
    )

    def run(function: Callable[[Blobs], Awaitable[None]]) -> None:
        async def inside() -> None:
            async with store() as blobs:
                await function(blobs)

        asyncio.run(inside())

    return run


async def _put(blobs: Blobs, key: str, data: bytes) -> None:
    async with blobs.draft(key) as draft:
        for at in range(0, len(data), 100_000):
            await draft.write(data[at : at + 100_000])
        kept = await draft.keep()
    assert kept == (len(data), sha256(data).hexdigest())


async def _read(blobs: Blobs, key: str, begin: int = 0, end: int | None = None) -> bytes:
    return b"".join([piece async for piece in blobs.read(key, begin, end)])


async def _found(blobs: Blobs) -> list[Found]:
    return sorted([each async for each in blobs.found()])


def test_what_was_kept_is_read_whole_or_in_part_and_as_a_file(use: Use) -> None:
    async def function(blobs: Blobs) -> None:
        await asyncio.gather(_put(blobs, "large1", BYTES), _put(blobs, "small1", b"thread"))
        assert await _read(blobs, "large1") == BYTES
        assert await _read(blobs, "small1") == b"thread"
        for begin, end in ((0, 1), (1_048_570, 1_048_590), (8_388_600, 9_500_000), (len(BYTES) - 3, None)):
            assert await _read(blobs, "large1", begin, end) == BYTES[begin:end]
        async with blobs.local("large1") as path:
            assert path.read_bytes() == BYTES
        assert [each.key for each in await _found(blobs)] == ["large1", "small1"]
        assert all(-1 <= each.age < 60 for each in await _found(blobs))

    use(function)


def test_what_was_removed_or_never_there_is_missing(use: Use) -> None:
    async def function(blobs: Blobs) -> None:
        await _put(blobs, "here", b"x")
        await blobs.remove("here")
        await blobs.remove("here")
        with pytest.raises(BlobMissing):
            await _read(blobs, "here")
        with pytest.raises(BlobMissing):
            async with blobs.local("here"):
                pass
        assert await _found(blobs) == []

    use(function)


@pytest.mark.parametrize("size", [10, len(BYTES)])
def test_a_draft_that_is_thrown_away_leaves_nothing(use: Use, size: int) -> None:
    async def function(blobs: Blobs) -> None:
        async with blobs.draft("draft1") as draft:
            for at in range(0, size, 1_000_000):
                await draft.write(BYTES[at : min(size, at + 1_000_000)])
            with pytest.raises(BlobMissing):
                await _read(blobs, "draft1")
        with pytest.raises(BlobMissing):
            await _read(blobs, "draft1")
        assert await _found(blobs) == []

    use(function)


def test_a_key_is_no_path(use: Use) -> None:
    async def function(blobs: Blobs) -> None:
        for key in ("../x", "a/b", "", "."):
            with pytest.raises(AssertionError):
                await _put(blobs, key, b"x")

    use(function)


def test_rows_take_no_large_file(postgres_url: str) -> None:
    async def function() -> None:
        async with opened(postgres_url) as db, BlobRows(db, SystemClock()).draft("a") as draft:
            with pytest.raises(FileTooLarge):
                await draft.write(bytes(MOST_BYTES + 1))

    asyncio.run(function())


def test_a_folder_that_is_held_loses_nothing(tmp_path: Path) -> None:
    async def function() -> None:
        blobs = Folder(tmp_path)
        await _put(blobs, "aa", b"x")
        with holding(tmp_path):
            with pytest.raises(BlobsHeld):
                await blobs.remove("aa")
            assert await _found(blobs) == [("aa", 0.0)]
        await blobs.remove("aa")
        assert await _found(blobs) == []

    asyncio.run(function())


def test_s3_that_is_away_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    blobs = open_blobs(f"s3://clew-files?endpoint=http://127.0.0.1:{free_port()}&region=x", tmp_path)

    async def function() -> None:
        with pytest.raises(BlobsAway):
            await _put(blobs, "aa", b"x")

    asyncio.run(function())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://x", "begins with"),
        ("s3://key:secret@bucket", "no credentials"),
        ("s3://bucket?endpoint=http://k:secret@host", "no credentials"),
        ("s3://bucket?key=secret", "knows endpoint="),
        ("s3://B", "bucket's name"),
        ("s3://bucket?endpoint=host", "is a URL"),
    ],
)
def test_a_url_that_names_no_store_is_refused_without_its_secrets(
    url: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(WrongBlobs, match=says) as refused:
        open_blobs(url, tmp_path)
    assert "secret" not in str(refused.value).replace("AWS_SECRET", "")
