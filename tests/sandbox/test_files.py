"""Files of a session: put in, found changed, taken out, and nothing that code made is followed."""

import os
from pathlib import Path

import pytest

from clew.sandbox.jailed import Jailed
from clew.sandbox.sandbox import MOST_DISK, MOST_FILES, SandboxTrouble
from clew.sandbox.session import KernelSession

pytestmark = pytest.mark.anyio


async def _taken(session: KernelSession, name: str) -> bytes:
    return b"".join([piece async for piece in session.take(name)])


async def test_what_is_put_is_found_and_what_is_left_is_taken(session: KernelSession, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for content in (b"", b"short", os.urandom(3 * 256 * 1024), os.urandom(1_000_000)):
        source.write_bytes(content)
        await session.put("in ü.bin", source)
        ran = await session.run("import shutil\nshutil.copy('/mnt/data/in ü.bin', 'out.bin');")
        assert [(each.name, each.size) for each in ran.left] == [("out.bin", len(content))]
        assert await _taken(session, "out.bin") == content


async def test_only_what_code_changes_is_news(session: KernelSession, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"as it was")
    await session.put("a.txt", source)
    assert (await session.run("open('a.txt').read()")).left == ()
    assert [each.name for each in (await session.run("open('a.txt', 'a').write('!');")).left] == ["a.txt"]
    assert (await session.run("1")).left == ()
    ran = await session.run(
        "import os\nos.mkdir('folder')\nopen('folder/x', 'w').close()\nopen('.hidden', 'w').close()"
    )
    assert ran.left == ()


async def test_no_link_device_pipe_or_folder_is_taken(session: KernelSession) -> None:
    ran = await session.run(
        "import os\n"
        "os.symlink('/etc/ld.so.cache', 'link')\nos.symlink('/mnt/data', 'way')\nos.mkfifo('pipe')\n"
        "os.symlink('/dev/zero', 'zero')\nos.mkdir('folder')"
    )
    assert ran.left == ()
    for name in ("link", "way", "pipe", "zero", "folder", "nothing"):
        with pytest.raises(SandboxTrouble, match="can't be taken out"):
            await _taken(session, name)
    for name in ("../x", "/etc/passwd", "way/link", "", "a\nb", ".hidden", "x" * 256, "a\x00", "\ud800"):
        with pytest.raises(SandboxTrouble, match="no plain name"):
            await _taken(session, name)
    assert (await session.run("1")).logs == "1\n"


async def test_what_is_put_replaces_a_link_and_does_not_follow_it(
    session: KernelSession, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"new")
    await session.run("import os\nopen('aim', 'w').write('old')\nos.symlink('aim', 'name')")
    await session.put("name", source)
    assert (await session.run("open('aim').read(), open('name').read(), os.path.islink('name')")).logs == (
        "('old', 'new', False)\n"
    )
    await session.run("os.mkdir('folder')")
    with pytest.raises(SandboxTrouble, match="can't be put"):
        await session.put("folder", source)
    assert (await session.run("1")).logs == "1\n"


async def test_what_there_is_no_room_for_leaves_nothing(session: KernelSession, tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(2 * 1024 * 1024)
    fill = (
        f"import os\nos.posix_fallocate(os.open('filling', os.O_CREAT | os.O_WRONLY), 0, {MOST_DISK} - 2**20)"
    )
    assert not (await session.run(fill)).raised
    with pytest.raises(SandboxTrouble, match="can't be put"):
        await session.put("large", source)
    assert (await session.run("import os; os.listdir()")).logs == "['filling']\n"


async def test_a_sparse_monster_is_neither_made_nor_taken(session: KernelSession) -> None:
    ran = await session.run("open('monster', 'wb').truncate(10**12)")
    assert ran.raised
    assert ran.left == () or ran.left[0].size == 0
    ran = await session.run(f"open('holes', 'wb').truncate({MOST_DISK});")
    assert [each.size for each in ran.left] == [MOST_DISK]


async def test_of_ten_thousand_files_some_are_told(session: KernelSession) -> None:
    ran = await session.run("for n in range(10_000):\n    open(f'{n:05}', 'w').close()")
    assert [each.name for each in ran.left] == [f"{n:05}" for n in range(MOST_FILES)]
    assert ran.unseen == 10_000 - MOST_FILES
    assert (await session.run("1")).left == ()


async def test_names_that_would_surprise_are_not_told(session: KernelSession) -> None:
    code = (
        "for name in (b'a\\nb', b'\\xff', b'c\\x1b[1m', b'd\\\\e', b'fine.txt'):\n    open(name, 'w').close()"
    )
    ran = await session.run(code)
    assert [each.name for each in ran.left] == ["fine.txt"]


async def test_a_folder_that_is_full_is_told_as_an_error(bwrap: Jailed) -> None:
    session = await bwrap.start("full")
    code = "for n in range(9):\n    with open(f'{n}', 'wb') as file:\n        file.write(bytes(40 * 2**20))"
    ran = await session.run(code)
    assert ran.ended is None
    assert "No space left" in ran.logs
    assert sum(each.size for each in ran.left) <= MOST_DISK
    assert (await session.run("1")).logs == "1\n"
