"""Which Python code runs on: the one that was set up, from the next session on, without a restart."""

import venv
from pathlib import Path

import pytest

from clew.clock import SystemClock
from clew.sandbox import setup
from clew.sandbox.chosen import Chosen
from clew.sandbox.sandbox import SandboxTrouble
from tests.sandbox.conftest import unavailable

pytestmark = pytest.mark.anyio
needs_bwrap = pytest.mark.skipif(unavailable("bwrap") is not None, reason=str(unavailable("bwrap")))


def _set_up(home: Path, name: str) -> Path:
    """Make what `clew code setup` makes, with one package of a name; return its Python."""
    target = setup.folder(home)
    target.parent.mkdir(parents=True, exist_ok=True)
    venv.create(target, symlinks=True, clear=True)
    (packages,) = target.glob("lib/python3*/site-packages")
    (packages / f"{name}.py").write_text("here = True\n")
    (packages / f"{name}-1.5.dist-info").mkdir()
    (target / "packages.lock").write_bytes(setup.LOCK.read_bytes())
    return target / "bin" / "python"


@needs_bwrap
async def test_a_python_that_is_set_up_meanwhile_is_the_next_sessions(tmp_path: Path) -> None:
    chosen = Chosen("bwrap", None, tmp_path, SystemClock())
    try:
        before = await (await chosen.driver()).start("before")
        assert chosen.known()[:4] == ("bwrap", None, None, {})
        assert "ModuleNotFoundError" in (await before.run("import knots")).logs
        python = _set_up(tmp_path, "knots")
        after = await (await chosen.driver()).start("after")
        assert (await after.run("import knots\nknots.here")).logs == "True\n"
        assert await chosen.driver() is await chosen.driver()
        assert chosen.known() == ("bwrap", None, python, {"knots": "1.5"}, False)
        (python.parents[1] / "packages.lock").write_bytes(b"older")
        assert chosen.known().outdated
        assert (await before.run("1 + 1")).logs == "2\n", "a session that lives goes on"
    finally:
        await chosen.close()
    assert before.over
    assert after.over


async def test_a_refusal_is_kept_until_there_is_another_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []

    async def refuse(name: str, python: str | None, *_: object) -> None:
        asked.append(python)
        raise SandboxTrouble("none")

    monkeypatch.setattr("clew.sandbox.choosing.chosen", refuse)
    chosen = Chosen("auto", None, tmp_path, SystemClock())
    for _ in range(2):
        with pytest.raises(SandboxTrouble, match="none"):
            await chosen.driver()
    assert asked == [None]
    assert chosen.known().trouble == "none"
    python = _set_up(tmp_path, "knots")
    assert chosen.known().trouble is None, "with another Python nothing is known yet"
    with pytest.raises(SandboxTrouble):
        await chosen.driver()
    assert asked == [None, str(python)]
