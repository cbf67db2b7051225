"""The runner in the real image, with its torch, on this checkout's package; no network."""

import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nbformat
from madang.packing import pack

from tests.edge.docker_fixtures import IMAGE
from tests.images.bench import PACKAGE, Done, read_until

NIGHTLY = Path(__file__).parents[2] / "notebooks" / "nightly"
HOME = "/home/student"


class Cage:
    """A home, and runs of shipped notebooks in containers on it, at two cores."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.names: list[str] = []

    def start(self, notebook: str, *, attempt: int = 1, folder: str = "run", **parameters: Any) -> (
        "subprocess.Popen[str]"
    ):
        name = notebook.removesuffix(".ipynb")
        shutil.copyfile(NIGHTLY / notebook, self.home / "input.ipynb")
        (self.home / "input.tar.gz").write_bytes(pack(NIGHTLY, without=notebook).data)
        (self.home / "job.json").write_text(json.dumps({
            "id": folder, "notebook": f"{HOME}/input.ipynb", "name": name,
            "folder": f"runs/{folder}", "parameters": parameters, "attempt": attempt,
            "snapshot": f"{HOME}/input.tar.gz",
        }))
        return self._container("python", "-m", "madang.runner", f"{HOME}/job.json")

    def run(self, notebook: str, **more: Any) -> Done:
        return self.end(self.start(notebook, **more), notebook, more.get("folder", "run"))

    def interrupt(self, notebook: str, when: str, **more: Any) -> Done:
        """Run, and let Docker send SIGTERM once `when` has been printed."""
        child = self.start(notebook, **more)
        said = read_until(child, when)
        subprocess.run(["docker", "kill", "-s", "TERM", self.names[-1]], check=True)
        done = self.end(child, notebook, more.get("folder", "run"))
        return Done(done.code, said + done.log, done.folder, done.name)

    def end(self, child: "subprocess.Popen[str]", notebook: str, folder: str) -> Done:
        log, _ = child.communicate(timeout=240)
        name = notebook.removesuffix(".ipynb")
        return Done(child.returncode, log, self.home / "runs" / folder, name)

    def python(self, code: str, **environment: str) -> str:
        """What Python `code` prints in the image."""
        child = self._container("python", "-c", code, **environment)
        said, _ = child.communicate(timeout=120)
        assert not child.returncode, said
        return said

    def _container(self, *command: str, **environment: str) -> "subprocess.Popen[str]":
        self.names.append(f"madang-test-{secrets.token_hex(6)}")
        given = {
            "PYTHONPATH": "/src", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2",
            # threads that wait by turning round take a busy machine's cores from the others
            "OMP_WAIT_POLICY": "PASSIVE", **environment,
        }
        return subprocess.Popen(
            ["docker", "run", "--rm", f"--name={self.names[-1]}", "--network=none",
             "--cap-drop=ALL", "--security-opt=no-new-privileges", "--cpus=2",
             f"--user={os.getuid()}:{os.getgid()}", f"--volume={self.home}:{HOME}",
             f"--volume={PACKAGE}:/src:ro", *(f"--env={k}={x}" for k, x in given.items()),
             IMAGE, *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )

    def close(self) -> None:
        """Leave no container behind."""
        subprocess.run(["docker", "rm", "-f", *self.names], capture_output=True, check=False)


def book(path: Path) -> Any:
    return nbformat.read(path, nbformat.NO_CONVERT)
