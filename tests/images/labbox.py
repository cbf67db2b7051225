"""Lab in a real container of the image, with this checkout's package in it."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import httpx

from tests.images.bench import PACKAGE
from tests.images.jupyter import free_port

IMAGE = os.environ.get("MADANG_TEST_IMAGE", "madang/notebook:latest")
STUDENT = 1000
_VENV = "/opt/madang/venv"
_SETTINGS = "opt/madang/venv/share/jupyter/lab/settings/overrides.json"
_INSIDE = {
    PACKAGE / "madang": f"{_VENV}/lib/python3.11/site-packages/madang",
    PACKAGE / "madang" / "labextension": f"{_VENV}/share/jupyter/labextensions/@madang/lab",
    PACKAGE / "jupyter" / "madang.json":
        f"{_VENV}/etc/jupyter/jupyter_server_config.d/madang.json",
    PACKAGE / "system" / _SETTINGS: f"/{_SETTINGS}",
}


class LabBox:
    """One person's Lab; `home` is theirs, on the host."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self._environment = {"MADANG_SLICE": "", "JUPYTERHUB_USER": "kim", **environment}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/user/kim/"
        self.http = httpx.Client(
            base_url=self.url, headers={"Authorization": "token t"}, timeout=60)
        self._name = f"mt-lab-{os.getpid()}-{self.port}"

    def __enter__(self) -> Self:
        self.home.chmod(0o777)
        mounts = [f"--volume={host}:{inside}:ro" for host, inside in _INSIDE.items()]
        told = [f"--env={k}={v}" for k, v in self._environment.items()]
        docker(
            "run", "--detach", "--rm", "--name", self._name, "--network=host",
            f"--user={STUDENT}:{STUDENT}", "--cap-drop=ALL",
            f"--volume={self.home}:/home/student", *mounts, *told, IMAGE, "jupyter-lab",
            "--no-browser", "--ip=127.0.0.1", f"--port={self.port}",
            "--ServerApp.base_url=/user/kim/", "--IdentityProvider.token=t",
        )
        self._until_it_answers()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        docker("rm", "--force", self._name)

    def story(self) -> str:
        """What the server has said."""
        return docker("logs", self._name)

    def inside(self, *command: str) -> str:
        """What a command in the container prints."""
        return docker("exec", self._name, *command)

    def write(self, path: str, text: str) -> Path:
        """A file in the home, of the person's own."""
        file = self.home / path
        for folder in reversed(file.relative_to(self.home).parents):
            (self.home / folder).mkdir(exist_ok=True)
            os.chown(self.home / folder, STUDENT, STUDENT)
        file.write_text(text)
        os.chown(file, STUDENT, STUDENT)
        return file

    def jobs(self, method: str, path: str, **rest: Any) -> httpx.Response:
        """jupyter_scheduler's REST API, as Lab speaks to it."""
        return self.http.request(method, f"scheduler/{path}", **rest)

    def _until_it_answers(self) -> None:
        for _ in range(600):
            try:
                if self.http.get("api").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(self.story())


def docker(*arguments: str) -> str:
    """The output of a docker command."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr
