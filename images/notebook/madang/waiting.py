"""A process that becomes a kernel when it is told to. `ahead` starts it, and speaks to it.

The number of its end of a socket is the one argument. It imports what an ipykernel imports, then
waits for what a kernel's process is given at its start. When the other end is closed, it ends.
"""

import sys
from pathlib import Path

if sys.path and sys.path[0] == str(Path(__file__).parent):
    del sys.path[0]  # else `memory`, `tables` and others of ours would be found first, by anybody

import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

_MOST = 4 << 20  # bytes of what is told: an environment, and some words
# the kernel, and what it imports by itself while it starts
_IMPORTED = (
    "sqlite3", "psutil", "tornado.platform.asyncio", "IPython.core.completerlib",
    "IPython.core.debugger", "IPython.extensions.storemagic", "ipykernel.ipkernel",
    "ipykernel.zmqshell", "ipykernel.kernelapp",
)


def main(number: int) -> None:
    """Wait, and be a kernel."""
    with socket.socket(fileno=number) as line:
        # whatever is wrong with it is said by a start of the usual kind, where it is heard
        with suppress(Exception):
            _import()
        told = _told(line)
    if told is not None:
        _become(told)


def _import() -> None:
    # nobody debugs a run, and the debugger is a third of all that a kernel imports. It is left out
    # of ipykernel only: a notebook may import it
    sys.modules["debugpy"] = None  # type: ignore[assignment]
    try:
        import_module("ipykernel.debugger")
    finally:
        del sys.modules["debugpy"]
    for name in _IMPORTED:
        import_module(name)


def _told(line: socket.socket) -> Mapping[str, Any] | None:
    """What this process is to be, with its stdout and stderr in place; None: nobody needs it."""
    data, fds, _, _ = socket.recv_fds(line, 1 << 16, 2)
    while data and not data.endswith(b"\n") and len(data) < _MOST:
        more = line.recv(1 << 16)
        if not more:
            return None
        data += more
    if not data or len(fds) != 2:  # noqa: PLR2004 - stdout and stderr
        return None
    for number, fd in enumerate(fds, 1):
        os.dup2(fd, number)
        os.close(fd)
    told: dict[str, Any] = json.loads(data)
    return told


def _become(told: Mapping[str, Any]) -> None:
    os.chdir(told["cwd"])
    os.environ.clear()
    os.environ.update(told["env"])
    if "ipykernel.kernelapp" not in sys.modules:
        os.execve(told["argv"][0], told["argv"], told["env"])
    sys.argv = [str(import_module("ipykernel_launcher").__file__), *told["argv"][3:]]
    import_module("ipykernel.kernelapp").launch_new_instance()


if __name__ == "__main__":
    main(int(sys.argv[1]))
