"""Attacks on the machine, as code inside a sandbox would try them. Stands alone, for it is run inside.

Each function tries one thing and returns if it came through; if it raises, it was held off. ``AIMS`` says
what there is outside to be reached: all of it is made for the purpose. Run outside of a sandbox only as a
user with no rights, in a mount namespace of its own (tests/sandbox/corpus.py sees to both).
"""

import ctypes
import fcntl
import os
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress
from typing import Any

AIMS: dict[str, Any] = {}

_libc = ctypes.CDLL(None, use_errno=True)
_EVERYWHERE = {"io_uring": 425, "pidfd_open": 434}
_CALLS = {"x86_64": {"bpf": 321, "perf": 298, "userfaultfd": 323, "keyctl": 250, "add_key": 248,
                     "process_vm_readv": 310, "kcmp": 312, "open_by_handle_at": 304, "shmget": 29,
                     "shmat": 30}}  # fmt: skip


class Held(Exception):
    """It did not come through."""


def _number(name: str) -> int:
    number = {**_EVERYWHERE, **_CALLS.get(os.uname().machine, {})}.get(name)
    if number is None:
        raise Held("not tried on this machine")
    return number


def _done(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _call(name: str, *given: Any) -> int:
    return _done(_libc.syscall(_number(name), *given))


def _unless(fine: bool, why: str = "as it should be") -> None:
    if fine:
        raise Held(why)


def _read(name: str) -> bytes:
    with open(name, "rb") as file:
        return file.read(4096)


def host_file() -> None:
    _unless(AIMS["secret"].encode() not in _read(AIMS["file"]))


def etc_shadow() -> None:
    _read("/etc/shadow")


def etc_passwd() -> None:
    _read("/etc/passwd")


def environ_of_others() -> None:
    for each in [str(AIMS["server"]), "1", *filter(str.isdigit, os.listdir("/proc"))]:
        try:
            found = _read(f"/proc/{each}/environ")
        except OSError:
            continue
        if each != str(os.getpid()) and AIMS["secret"].encode() in found:
            return
    raise Held


def own_environ() -> None:
    text = "\n".join(f"{name}={value}" for name, value in os.environ.items())
    _unless("CLEW" not in text and AIMS["secret"] not in text)


def tcp() -> None:
    socket.create_connection(("127.0.0.1", AIMS["tcp"]), 2).close()


def udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.sendto(b"x", ("127.0.0.1", AIMS["tcp"]))


def tcp_listen() -> None:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen()
        _unless(AIMS["inside"] == "namespaces", "a network of its own")


def abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.connect("\0" + AIMS["abstract"])


def socket_path() -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.connect(AIMS["socket"])


def write_outside() -> None:
    with open(os.path.join(AIMS["folder"], "written"), "w", encoding="ascii") as file:
        file.write("x")


def write_etc() -> None:
    with open("/etc/clew-was-here", "w", encoding="ascii") as file:
        file.write("x")


def symlink() -> None:
    os.symlink(AIMS["file"], "leads-out")
    try:
        _unless(AIMS["secret"].encode() not in _read("leads-out"))
    finally:
        os.unlink("leads-out")


def hardlink() -> None:
    os.link(AIMS["file"], "hard")


def proc_root() -> None:
    for each in ("1", str(AIMS["server"])):
        try:
            if AIMS["secret"].encode() in _read(f"/proc/{each}/root{AIMS['file']}"):
                return
        except OSError:
            pass
    raise Held


def inherited_fds() -> None:
    for each in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{each}")
        except OSError:
            continue
        if target.startswith(AIMS["folder"]) or "clew.db" in target:
            return
    for number in range(3, 256):
        try:
            if AIMS["secret"].encode() in os.pread(number, 4096, 0):
                return
        except OSError:
            pass
    raise Held


def kill_server() -> None:
    os.kill(AIMS["server"], 0)


def ptrace() -> None:
    _done(_libc.ptrace(16, AIMS["server"], None, None))
    _libc.ptrace(17, AIMS["server"], None, None)


def process_vm_readv() -> None:
    buffer = ctypes.create_string_buffer(8)
    local = struct.pack("QQ", ctypes.addressof(buffer), 8)
    _call("process_vm_readv", AIMS["server"], local, 1, struct.pack("QQ", 0x400000, 8), 1, 0)


def unshare_user() -> None:
    _done(_libc.unshare(0x10000000))


def mount() -> None:
    _done(_libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))


def userns_and_mount() -> None:
    _done(_libc.unshare(0x10000000 | 0x20000))
    _done(_libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))


def clone_userns() -> None:
    child = _done(_libc.syscall(56, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0))
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def bpf() -> None:
    _call("bpf", 0, struct.pack("IIII", 1, 4, 4, 1) + bytes(100), 112)


def perf() -> None:
    attributes = struct.pack("IIQQQQ", 1, 112, 0, 0, 0, 0) + bytes(80)
    _call("perf", attributes, 0, -1, -1, 0)


def keyctl() -> None:
    _call("add_key", b"user", b"clew", b"x", 1, -3)


def io_uring() -> None:
    _call("io_uring", 4, ctypes.create_string_buffer(256))


def userfaultfd() -> None:
    _call("userfaultfd", 1)


def setuid_binary() -> None:
    for name in ("/bin/su", "/usr/bin/su", "/usr/bin/passwd", "/usr/bin/newgrp", "/usr/bin/mount"):
        try:
            works = os.stat(name).st_mode & 0o4000 and not os.statvfs(name).f_flag & os.ST_NOSUID
            if works and "NoNewPrivs:\t0" in _status():
                return
        except OSError:
            pass
    raise Held


def _status() -> str:
    try:
        return _read("/proc/self/status").decode()
    except OSError:
        return "NoNewPrivs:\t0" if not _libc.prctl(39, 0, 0, 0, 0) else ""


def become_root() -> None:
    os.setuid(0)


def devices() -> None:
    for name in (
        "/dev/kmsg",
        "/dev/mem",
        "/dev/fuse",
        "/dev/kvm",
        "/dev/sda",
        "/dev/vda",
        "/dev/ptmx",
        "/dev/tty",
    ):
        try:
            os.close(os.open(name, os.O_RDWR))
        except OSError:
            continue
        return
    raise Held


def mknod() -> None:
    os.mknod("device", 0o20666, os.makedev(1, 1))


def proc_sys() -> None:
    for name in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/kernel/modprobe",
                 "/proc/sys/vm/drop_caches", "/proc/self/oom_score_adj_no"):  # fmt: skip
        try:
            os.close(os.open(name, os.O_WRONLY))
        except OSError:
            continue
        return
    raise Held


def kernel_memory() -> None:
    for name in ("/proc/kcore", "/proc/kmsg", "/proc/kpageflags", "/sys/kernel/security"):
        try:
            os.close(os.open(name, os.O_RDONLY))
        except OSError:
            continue
        return
    raise Held


def chroot() -> None:
    os.chroot("/")


def terminal_input() -> None:
    fcntl.ioctl(1, 0x5412, b"x")


def raise_limits() -> None:
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE):
        hard = resource.getrlimit(kind)[1]
        if hard == resource.RLIM_INFINITY:
            return
        try:
            resource.setrlimit(kind, (hard + 1, hard + 1))
        except (OSError, ValueError):
            continue
        return
    raise Held


def shared_memory() -> None:
    number = _call("shmget", AIMS["shm"], 16, 0)
    _unless(number < 0)


def vsock() -> None:
    with socket.socket(40, socket.SOCK_STREAM) as made:
        made.settimeout(1)
        with suppress(ConnectionError):
            made.connect((2, 1))


def netlink() -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()


def raw_socket() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()


def packet_socket() -> None:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()


def daemon() -> None:
    """A process that outlives us; whether it does is seen from outside, by what it would write."""
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            for _ in range(40):
                with suppress(OSError):
                    write_outside()
                signal.sigtimedwait([], 0.05)
        os._exit(0)
    os.waitpid(child, 0)
    raise Held("seen from outside")


def file_handles() -> None:
    handle = ctypes.create_string_buffer(struct.pack("Ii", 8, 1) + bytes(64))
    _call("open_by_handle_at", -100, handle, 0)


def pidfd() -> None:
    _call("pidfd_open", AIMS["server"], 0)


def sys_files() -> None:
    os.listdir("/sys/kernel")


def cgroup_escape() -> None:
    with open("/sys/fs/cgroup/memory/cgroup.procs", "w", encoding="ascii") as file:
        file.write("0")


def thirty_two_bit() -> None:
    """A call by the numbers of another kind of processor is another call to the filter."""
    if os.uname().machine != "x86_64":
        raise Held("not tried on this machine")
    _done(_libc.syscall(0x40000000 + 39))


def abi_of_old() -> None:
    """A filter must not be fooled by numbers above 32 bits."""
    number = ctypes.c_long((1 << 32) | 272)
    _done(_libc.syscall(number, 0x10000000))


def personality() -> None:
    _done(_libc.personality(0x0040000))


def write_own_program() -> None:
    with open(sys.executable, "r+b"):
        pass


def write_kernel() -> None:
    for name in ("/opt/kernel.pyc", "/opt/x"):
        try:
            with open(name, "wb"):
                return
        except OSError:
            pass
    raise Held


def remount_root() -> None:
    _done(_libc.mount(None, b"/", None, 0x1000 | 0x20, None))


ATTACKS = {
    name: each
    for name, each in list(globals().items())
    if callable(each) and not name.startswith("_") and name not in {"Any", "Held", "attempt", "suppress"}
}

# What ends the session when it is held off, since the filter kills for it.
DEADLY = {"thirty_two_bit"}


def attempt(name: str) -> None:
    """Try one; print what came of it."""
    try:
        ATTACKS[name]()
    except Exception as held:
        print("held", name, type(held).__name__)
    else:
        print("THROUGH", name)


if __name__ == "__main__":
    import json

    AIMS.update(json.loads(sys.argv[1]))
    for _name in ATTACKS:
        if _name not in DEADLY:
            print(end="", flush=True)
            _child = os.fork()
            if _child == 0:
                attempt(_name)
                sys.stdout.flush()
                os._exit(0)
            os.waitpid(_child, 0)
