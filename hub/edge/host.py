"""The machine itself: files, ports, processes. Standard library only.

The one edge that works before the virtual environment exists, so `make` uses it too
(through the floor, `hub/machine.py`). Reads only; Linux only (`/proc`).
"""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

_LISTEN = "0A"  # the state column of /proc/net/tcp


def listener(port: int) -> str | None:
    """Who listens on TCP `port` here: "pid 12 (nginx)", or None when nobody does.

    A listener whose process cannot be read (not root, another container) is "another process".
    """
    inodes = set(_listening(port))
    if not inodes:
        return None
    for pid in _pids():
        if inodes & set(_sockets(pid)):
            return f"pid {pid} ({command(pid)})"
    return "another process"


def command(pid: int) -> str:
    """The name of process `pid`; "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    """The processes whose parent is `pid`, zombies too."""
    found = []
    for each in _pids():
        try:
            # the name, in brackets, may hold blanks and brackets itself
            after = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after[1]) == pid:
            found.append(each)
    return found


def version(argv: list[str]) -> tuple[int, ...] | None:
    """The first dotted number that `argv` prints ("v20.3.1" is (20, 3, 1)); None without one."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"(\d+(?:\.\d+)+)", done.stdout + done.stderr)
    return tuple(int(x) for x in found[1].split(".")) if found else None


def can_bind(address: str, port: int) -> bool:
    """Whether a server could listen there now."""
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def _listening(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            column = row.split()
            if column[3] == _LISTEN and int(column[1].rpartition(":")[2], 16) == port:
                yield f"socket:[{column[9]}]"


def _pids() -> Iterator[int]:
    return (int(x) for x in os.listdir("/proc") if x.isdigit())


def _sockets(pid: int) -> Iterator[str]:
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        try:
            yield os.readlink(f"{folder}/{name}")
        except OSError:
            continue


def git_backend() -> Path | None:
    """The program by which git is reached over HTTP; None where git is not there, or without it."""
    try:
        said = subprocess.run(
            ["git", "--exec-path"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = Path(said.strip()) / "git-http-backend"
    return found if said.strip() and found.exists() else None
