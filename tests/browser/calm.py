"""Runs a program that must not hear of network changes: `python calm.py PROGRAM ARGUMENT...`.

Chromium lets every request under way fail with ERR_NETWORK_CHANGED when an interface of the machine
gets an address, and each container that another test starts is one. It hears of them from the
kernel by netlink; without such a socket it believes to be online, and stays so.
"""

import ctypes
import errno
import os
import socket
import sys

# libseccomp's, from seccomp.h
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EAFNOSUPPORT
_EQUAL = 4


class _Argument(ctypes.Structure):
    _fields_ = (
        ("number", ctypes.c_uint), ("comparison", ctypes.c_int),
        ("value", ctypes.c_uint64), ("mask", ctypes.c_uint64),
    )


def main() -> None:
    """Become the program."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    call = library.seccomp_syscall_resolve_name(b"socket")
    netlink = _Argument(0, _EQUAL, socket.AF_NETLINK, 0)
    failed = library.seccomp_rule_add_array(
        rules, ctypes.c_uint32(_REFUSE), call, 1, ctypes.byref(netlink)
    ) or library.seccomp_load(rules)
    if failed:
        sys.exit(f"the browser cannot be kept from netlink: {os.strerror(-failed)}")
    os.execvp(sys.argv[1], sys.argv[1:])


main()
