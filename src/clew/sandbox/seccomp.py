"""The system calls that code in a session is refused, as a program for the kernel's own filter.

A list of what is refused, not of what is allowed: numpy and its like use so many that a list of those would
break with each release. What it takes away is what has let code out of namespaces, reads other processes, or
is a large interface with a small use: docs/sandbox.md has the reasons. It adds to namespaces; with Landlock,
in their place, it takes processes and sockets away too.
"""

import errno
import platform
import struct
from typing import NamedTuple

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _FIRST, _SECOND = 0, 4, 16, 24

_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_X32 = 0x40000000

_NEW_NAMESPACES = 0x7E020080
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET and NEWTIME."""

_CLONE_THREAD = 0x10000
_AF_UNIX = 1
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C


class Machine(NamedTuple):
    """A kind of processor: what the kernel calls it, and the numbers of its calls."""

    arch: int
    numbers: dict[str, int]


# fmt: off
_X86_64 = {
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "pidfd_getfd": 438,
    "process_madvise": 440, "process_mrelease": 448, "pidfd_open": 434, "pidfd_send_signal": 424,
    "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "mount_setattr": 442, "statmount": 457, "listmount": 458, "open_tree_attr": 467,
    "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "io_uring_setup": 425, "io_uring_enter": 426,
    "io_uring_register": 427, "add_key": 248, "request_key": 249, "keyctl": 250,
    "init_module": 175, "finit_module": 313, "delete_module": 176, "create_module": 174,
    "query_module": 178, "get_kernel_syms": 177, "kexec_load": 246, "kexec_file_load": 320,
    "reboot": 169, "swapon": 167, "swapoff": 168, "acct": 163, "syslog": 103, "sysfs": 139, "_sysctl": 156,
    "quotactl": 179, "quotactl_fd": 443, "nfsservctl": 180, "lookup_dcookie": 212, "vhangup": 153,
    "settimeofday": 164, "clock_settime": 227, "clock_adjtime": 305, "adjtimex": 159, "sethostname": 170,
    "setdomainname": 171, "iopl": 172, "ioperm": 173, "modify_ldt": 154, "uselib": 134, "personality": 135,
    "name_to_handle_at": 303, "open_by_handle_at": 304, "fanotify_init": 300, "fanotify_mark": 301,
    "mknod": 133, "mknodat": 259, "mbind": 237, "set_mempolicy": 238, "migrate_pages": 256,
    "move_pages": 279, "set_mempolicy_home_node": 450, "vmsplice": 278, "memfd_secret": 447,
    "landlock_create_ruleset": 444, "shmget": 29, "shmat": 30, "shmctl": 31, "shmdt": 67, "semget": 64,
    "semop": 65, "semctl": 66, "semtimedop": 220, "msgget": 68, "msgsnd": 69, "msgrcv": 70, "msgctl": 71,
    "mq_open": 240, "mq_unlink": 241, "mq_timedsend": 242, "mq_timedreceive": 243, "mq_notify": 244,
    "mq_getsetattr": 245, "uretprobe": 335, "lsm_set_self_attr": 460,
    "socket": 41, "socketpair": 53, "clone": 56, "clone3": 435, "ioctl": 16,
    "fork": 57, "vfork": 58, "chdir": 80, "fchdir": 81,
}

# By the generic table of the kernel's headers. Not tried on such a machine.
_AARCH64 = {
    "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "pidfd_getfd": 438,
    "process_madvise": 440, "process_mrelease": 448, "pidfd_open": 434, "pidfd_send_signal": 424,
    "unshare": 97, "setns": 268, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "mount_setattr": 442, "statmount": 457, "listmount": 458, "open_tree_attr": 467,
    "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "io_uring_setup": 425, "io_uring_enter": 426,
    "io_uring_register": 427, "add_key": 217, "request_key": 218, "keyctl": 219,
    "init_module": 105, "finit_module": 273, "delete_module": 106, "kexec_load": 104, "kexec_file_load": 294,
    "reboot": 142, "swapon": 224, "swapoff": 225, "acct": 89, "syslog": 116,
    "quotactl": 60, "quotactl_fd": 443, "nfsservctl": 42, "lookup_dcookie": 18, "vhangup": 58,
    "settimeofday": 170, "clock_settime": 112, "clock_adjtime": 266, "adjtimex": 171, "sethostname": 161,
    "setdomainname": 162, "personality": 92,
    "name_to_handle_at": 264, "open_by_handle_at": 265, "fanotify_init": 262, "fanotify_mark": 263,
    "mknodat": 33, "mbind": 235, "set_mempolicy": 237, "migrate_pages": 238,
    "move_pages": 239, "set_mempolicy_home_node": 450, "vmsplice": 75, "memfd_secret": 447,
    "landlock_create_ruleset": 444, "shmget": 194, "shmat": 196, "shmctl": 195, "shmdt": 197, "semget": 190,
    "semop": 193, "semctl": 191, "semtimedop": 192, "msgget": 186, "msgsnd": 189, "msgrcv": 188,
    "msgctl": 187, "mq_open": 180, "mq_unlink": 181, "mq_timedsend": 182, "mq_timedreceive": 183,
    "mq_notify": 184, "mq_getsetattr": 185, "lsm_set_self_attr": 460,
    "socket": 198, "socketpair": 199, "clone": 220, "clone3": 435, "ioctl": 29,
    "chdir": 49, "fchdir": 50,
}
# fmt: on

MACHINES = {"x86_64": Machine(0xC000003E, _X86_64), "aarch64": Machine(0xC00000B7, _AARCH64)}

_BY_ARGUMENT = frozenset({"socket", "socketpair", "clone", "clone3", "ioctl"})
_ONLY_ALONE = frozenset({"fork", "vfork", "chdir", "fchdir"})


def _step(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _refuse(error: int) -> bytes:
    return _step(_RETURN, _REFUSE | error)


def _with_argument(number: int, argument: int, tests: list[tuple[int, int]], otherwise: bytes) -> bytes:
    """One call: refused if a test (how to compare, with what) of its argument holds, else as said."""
    body = _step(_LOAD, argument)
    for how, value in tests:
        body += _step(how, value, 0, 1) + _refuse(errno.EPERM)
    body += otherwise
    return _step(_EQUAL, number, 0, len(body) // 8) + body


def _only(number: int, how: int, value: int) -> bytes:
    """One call: allowed if its first argument compares, else refused."""
    body = _step(_LOAD, _FIRST) + _step(how, value, 0, 1) + _step(_RETURN, _ALLOW) + _refuse(errno.EPERM)
    return _step(_EQUAL, number, 0, len(body) // 8) + body


def program(alone: bool, machine: str | None = None) -> bytes:
    """Return the filter, as bwrap and the kernel take it: instructions of eight bytes.

    ``alone`` is for a session without namespaces: there, no process is made (the one there is, is the group
    that is killed), no socket, and the folder it stands in stays the one that it was put into.

    Raises:
        KeyError: the processor is one that we have no numbers of.
    """
    arch, numbers = MACHINES[machine or platform.machine()]
    made = _step(_LOAD, _ARCH) + _step(_EQUAL, arch, 1, 0) + _step(_RETURN, _KILL)
    made += _step(_LOAD, _NUMBER) + _step(_AT_LEAST, _X32, 0, 1) + _step(_RETURN, _KILL)
    for name, number in numbers.items():
        if name not in _BY_ARGUMENT and (alone or name not in _ONLY_ALONE):
            made += _step(_EQUAL, number, 0, 1) + _refuse(errno.EPERM)
    # glibc falls back to clone, whose flags a filter can see.
    made += _step(_EQUAL, numbers["clone3"], 0, 1) + _refuse(errno.ENOSYS)
    made += _with_argument(
        numbers["ioctl"], _SECOND, [(_EQUAL, _TIOCSTI), (_EQUAL, _TIOCLINUX)], _step(_RETURN, _ALLOW)
    )
    made += _only(numbers["socketpair"], _EQUAL, _AF_UNIX)
    if alone:
        made += _step(_EQUAL, numbers["socket"], 0, 1) + _refuse(errno.EPERM)
        made += _only(numbers["clone"], _ANY_BIT, _CLONE_THREAD)
    else:
        made += _only(numbers["socket"], _EQUAL, _AF_UNIX)
        made += _with_argument(
            numbers["clone"], _FIRST, [(_ANY_BIT, _NEW_NAMESPACES)], _step(_RETURN, _ALLOW)
        )
    return made + _step(_RETURN, _ALLOW)
