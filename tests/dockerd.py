"""The dockerd of a test run: restarted only where the test run itself started it."""

import os
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path

import docker

_started: list[subprocess.Popen[bytes]] = []


def owns_dockerd() -> bool:
    """Whether this run may restart dockerd: `make test` started it, so nobody else's work dies."""
    return os.environ.get("MADANG_TEST_OWNS_DOCKERD") == "1"


def restart_dockerd() -> None:
    """End dockerd by SIGTERM and start it again with its own arguments and environment."""
    pid = int(Path("/var/run/docker.pid").read_text())
    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode().rstrip("\0").split("\0")
    raw = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    environment = dict(x.split("=", 1) for x in raw.split("\0") if "=" in x)
    out = os.readlink(f"/proc/{pid}/fd/2")
    os.kill(pid, signal.SIGTERM)
    for _ in range(300):
        if not Path(f"/proc/{pid}").exists():
            break
        time.sleep(0.2)
    # kept: a Popen that is dropped while its process runs warns, in whichever test comes next
    with open(out if out.startswith("/") else os.devnull, "ab") as log:  # noqa: PTH123
        _started.append(subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        ))
    _wait()


def _wait() -> None:
    for _ in range(300):
        try:
            with closing(docker.from_env(timeout=5)) as client:
                client.ping()
        except Exception:  # noqa: BLE001 - whatever it says while it starts
            time.sleep(0.2)
        else:
            return
    raise AssertionError("dockerd did not come back within 60 s")
