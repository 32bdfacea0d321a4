"""What the machine offers to models that compute here."""

import ctypes
import os
import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from clew.installing import how_to_add

_MOST_THREADS = 8  # beyond that, memory is what such a small model waits for
_X86 = {"x86_64", "amd64", "i386", "i686"}
_MODEL = "the embedded model"
_MODEL_ELSEWHERE = "set CLEW_MODEL_URL to any chat-completions endpoint"
_WINDOWS_AVX2 = 40  # PF_AVX2_INSTRUCTIONS_AVAILABLE


def obstacle(what: str = _MODEL, elsewhere: str = _MODEL_ELSEWHERE) -> str | None:
    """Why llama.cpp can't run here, and what to do; None if nothing is in the way.

    Args:
        what: who needs it, as a subject in the singular.
        elsewhere: what else would do, as a request.
    """
    if find_spec("xllamacpp") is None:
        return f"{what} is not installed: {how_to_add('local')}, or {elsewhere}"
    if platform.machine().lower() in _X86 and not has_avx2():
        return f"this processor lacks AVX2, which {what} needs: {elsewhere}"
    return None


def has_avx2() -> bool:
    """Whether an x86 processor has AVX2; True if that can't be found out."""
    try:
        if sys.platform == "linux":
            return " avx2 " in f" {Path('/proc/cpuinfo').read_text(encoding='utf-8')} ".replace("\n", " ")
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.leaf7_features"]
            told = subprocess.run(command, capture_output=True, timeout=5, check=False)
            return b"AVX2" in told.stdout
        if sys.platform == "win32":
            return bool(ctypes.windll.kernel32.IsProcessorFeaturePresent(_WINDOWS_AVX2))
    except (OSError, subprocess.SubprocessError):
        pass
    return True


def threads() -> int:
    """How many threads should compute: the processors this process may use, a container's share."""
    if sys.platform == "linux":
        usable = len(os.sched_getaffinity(0))
    else:
        usable = os.cpu_count() or 1
    return max(1, min(usable, quota(), _MOST_THREADS))


def quota(path: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Whole processors a control group allows; many if it sets no bound."""
    try:
        share, period = path.read_text(encoding="utf-8").split()
        return max(1, int(share) // int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return _MOST_THREADS
