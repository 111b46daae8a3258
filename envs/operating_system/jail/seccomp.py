"""The system call filter of a sandbox, as a classic BPF program.

Denied are: new namespaces, everything about mounts, kernel modules and kexec, bpf, perf, key rings, tracing and
reading other processes, io_uring (its operations pass no filter), userfaultfd, file handles, clocks, and sockets that
no network namespace holds back (vsock reaches the hypervisor). A denied call fails with EPERM; io_uring and clone3 with
ENOSYS, because programs then fall back to what the filter can see.
"""

from __future__ import annotations

import errno
import struct

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24
_X32 = 0x40000000
_NEW_NAMESPACE = 0x7E020000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_FAMILIES = (1, 2, 10, 16)  # unix, inet, inet6, netlink

_SHARED = {
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "pidfd_getfd": 438, "mount_setattr": 442, "quotactl_fd": 443, "open_tree_attr": 467,
}  # fmt: skip
_RINGS = (425, 426, 427)
_CLONE3 = 435

_X86_64 = {
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "mount": 165, "umount2": 166,
    "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308, "swapon": 167, "swapoff": 168, "reboot": 169,
    "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173, "modify_ldt": 154, "uselib": 134,
    "init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246, "kexec_file_load": 320,
    "quotactl": 179, "acct": 163, "settimeofday": 164, "clock_settime": 227, "adjtimex": 159, "clock_adjtime": 305,
    "add_key": 248, "request_key": 249, "keyctl": 250, "perf_event_open": 298, "fanotify_init": 300,
    "name_to_handle_at": 303, "open_by_handle_at": 304, "bpf": 321, "userfaultfd": 323, "lookup_dcookie": 212,
    "vhangup": 153, "syslog": 103, "nfsservctl": 180,
}  # fmt: skip
_AARCH64 = {
    "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "mount": 40, "umount2": 39,
    "pivot_root": 41, "chroot": 51, "unshare": 97, "setns": 268, "swapon": 224, "swapoff": 225, "reboot": 142,
    "sethostname": 161, "setdomainname": 162, "init_module": 105, "finit_module": 273, "delete_module": 106,
    "kexec_load": 104, "kexec_file_load": 294, "quotactl": 60, "acct": 89, "settimeofday": 170, "clock_settime": 112,
    "adjtimex": 171, "clock_adjtime": 266, "add_key": 217, "request_key": 218, "keyctl": 219, "perf_event_open": 241,
    "fanotify_init": 262, "name_to_handle_at": 264, "open_by_handle_at": 265, "bpf": 280, "userfaultfd": 282,
    "lookup_dcookie": 18, "vhangup": 58, "syslog": 116, "nfsservctl": 42,
}  # fmt: skip

# machine: (audit architecture, denied, clone, socket, ioctl)
_MACHINES = {
    "x86_64": (0xC000003E, _X86_64, 56, 41, 16),
    "aarch64": (0xC00000B7, _AARCH64, 220, 198, 29),
}
MACHINES = tuple(_MACHINES)


def _op(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def program(machine: str) -> bytes:
    """The filter for a machine as `os.uname().machine` names it.

    Raises:
        KeyError: there is none for this machine.
    """
    architecture, denied, clone, socket, ioctl = _MACHINES[machine]
    refuse = _op(_RETURN, _ERRNO | errno.EPERM)
    unknown = _op(_RETURN, _ERRNO | errno.ENOSYS)
    allow = _op(_RETURN, _ALLOW)
    code = [
        _op(_LOAD, _ARCHITECTURE),
        _op(_EQUAL, architecture, 1),
        _op(_RETURN, _KILL),
        _op(_LOAD, _NUMBER),
        *((_op(_AT_LEAST, _X32, 0, 1), refuse) if machine == "x86_64" else ()),
    ]
    for number in sorted({*denied.values(), *_SHARED.values()}):
        code += [_op(_EQUAL, number, 0, 1), refuse]
    for number in (*_RINGS, _CLONE3):
        code += [_op(_EQUAL, number, 0, 1), unknown]
    code += [_op(_EQUAL, clone, 0, 4), _op(_LOAD, _FIRST), _op(_ANY_BIT, _NEW_NAMESPACE, 0, 1), refuse, allow]
    code += [_op(_EQUAL, ioctl, 0, 5), _op(_LOAD, _SECOND)]
    code += [_op(_EQUAL, _TIOCSTI, 1), _op(_EQUAL, _TIOCLINUX, 0, 1), refuse, allow]
    code += [_op(_EQUAL, socket, 0, 3 + len(_FAMILIES)), _op(_LOAD, _FIRST)]
    code += [_op(_EQUAL, family, len(_FAMILIES) - index) for index, family in enumerate(_FAMILIES)]
    code += [refuse, allow, allow]
    return b"".join(code)
