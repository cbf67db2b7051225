"""A kernel's process that is started ahead, and imports while the runner does.

Most of a short run is imports: papermill's here, ipykernel's there. So the process begins with the
runner, and is told later what a kernel's process is given at its start: arguments, environment,
folder, stdout and stderr (waiting.py). Where anything is not as it takes it, the kernel gets a
process of the usual kind.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_WAITING = Path(__file__).with_name("waiting.py")
_KERNEL = [sys.executable, "-m", "ipykernel_launcher"]
_PATIENCE = 30.0  # seconds for what it is told to be taken
# of an environment: what an interpreter, its libraries or ipykernel look at while they are loaded
_AT_START = (
    "PYTHON", "LD_", "LC_", "LANG", "TZ", "MALLOC_", "GLIBC_", "HOME", "JUPYTER", "IPYTHON",
    "IPY_", "ZMQ_", "PYZMQ_", "SQLITE_",
)


class Ahead:
    """One process, for the first kernel that it fits."""

    def __init__(self) -> None:
        self._env = {**os.environ, "JPY_PARENT_PID": str(os.getpid())}
        self._line, theirs = socket.socketpair()
        self._line.settimeout(_PATIENCE)
        self._process: subprocess.Popen[bytes] | None = None
        # without it, a kernel starts as it always did
        with theirs, suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, str(_WAITING), str(theirs.fileno())], env=self._env,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()], start_new_session=True,
            )

    def take(
        self, argv: list[str], *, env: Mapping[str, str], cwd: str, stdout: int, stderr: int
    ) -> "subprocess.Popen[bytes] | None":
        """The process, which is this kernel's from now on; None: it cannot be."""
        process = self._process
        env = {**env, "JPY_PARENT_PID": self._env["JPY_PARENT_PID"]}
        fits = argv[:3] == _KERNEL and _at_start(env) == _at_start(self._env)
        told = json.dumps({"argv": argv, "env": env, "cwd": cwd}).encode() + b"\n"
        if process is None or not fits or process.poll() is not None:
            return None
        try:
            sent = socket.send_fds(self._line, [told], [stdout, stderr])
            # sending nothing fails as well, once the other end has all and has closed
            if told[sent:]:
                self._line.sendall(told[sent:])
        except OSError:
            self.dismiss()  # it may have heard enough: there would be two kernels
            return None
        self._process = None
        self._line.close()
        return process

    def dismiss(self) -> None:
        """It is not needed any more, unless it has been taken."""
        self._line.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _at_start(env: Mapping[str, Any]) -> dict[str, Any]:
    return {k: x for k, x in env.items() if k.startswith(_AT_START)}
