"""The Docker client that `images/build` drives: which one it is, and its verbs."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field

BUILDKIT_INSIDE = range(19, 23)
"""Major versions of the client that BuildKit without buildx."""


class BuildError(Exception):
    """Something the person at the terminal has to know; the text says what to do."""


@dataclass
class Docker:
    """A client that can BuildKit. All verbs raise BuildError with Docker's words."""

    command: str
    environment: dict[str, str] = field(
        default_factory=lambda: {**os.environ, "DOCKER_BUILDKIT": "1"}
    )

    def __call__(self, *arguments: str) -> str:
        """Run to the end and return the output."""
        done = self.attempt(*arguments)
        if done.returncode:
            raise BuildError(f"docker {arguments[0]}: {done.stderr.strip()}")
        return done.stdout.strip()

    def attempt(
        self, *arguments: str, seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; the caller looks at the exit code, which is 124 after `seconds`."""
        command = [self.command, *arguments]
        try:
            return subprocess.run(
                command,
                env=self.environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, "", f"no answer within {seconds} s")

    def labels(self, images: list[str], label: str) -> dict[str, str]:
        """Value of one label for those of `images` (name:tag) that exist."""
        form = f'{{{{join .RepoTags " "}}}} {{{{index .Config.Labels "{label}"}}}}'
        lines = self.attempt("image", "inspect", "--format", form, *images).stdout.splitlines()
        found = [line.rpartition(" ") for line in lines]
        return {tag: value for tags, _, value in found for tag in tags.split()}

    def can_buildkit(self) -> bool:
        """Whether `build` takes --secret: buildx, or a client to 22 that has it inside."""
        if not self.attempt("buildx", "version").returncode:
            return True
        version = self.attempt("version", "--format", "{{.Client.Version}}").stdout
        return int(version.partition(".")[0] or 0) in BUILDKIT_INSIDE


def find_docker() -> Docker:
    """The client on PATH; BuildError without one."""
    found = next((c for c in ("docker", "/usr/bin/docker") if shutil.which(c)), None)
    if not found:
        raise BuildError("no `docker` on PATH: apt-get install docker.io")
    return Docker(found)


def find_builder() -> Docker:
    """A client that can BuildKit; a second one may lie behind the first on PATH.

    BuildError without an engine behind it, or when none of them can.
    """
    if find_docker().attempt("version", "--format", "{{.Server.Version}}").returncode:
        raise BuildError(
            "no Docker Engine answers: start it (systemctl start docker) or set DOCKER_HOST"
        )
    for command in ("docker", "/usr/bin/docker"):
        if shutil.which(command) and Docker(command).can_buildkit():
            return Docker(command)
    raise BuildError(
        "this Docker client cannot BuildKit (secrets, mounts). Install the builder: "
        "apt-get install docker-buildx (Ubuntu), docker-buildx-plugin (docker.com) "
        "or docker.io (Debian 12)"
    )
