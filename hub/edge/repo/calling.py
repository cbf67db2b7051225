"""git as a process: its environment, its limits, and how it is asked."""

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_TIME = 120.0  # seconds
_LONG = 600.0  # of a git that is talked with
_MEMORY = 2 << 30  # bytes of address space of each process
_CPU = 300  # seconds
_QUARANTINE = (
    "GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
)


class GitError(Exception):
    """git has not done what it was asked; its own words."""


def environment(hooks: Path | None = None, mib: int = 0) -> dict[str, str]:
    """The environment of every git that we start.

    Args:
        hooks: folder of our hooks; none are run without it.
        mib: the most that may be pushed at once.
    """
    config = {
        "core.hooksPath": str(hooks) if hooks else os.devnull,
        "core.bigFileThreshold": "1m",  # larger files go through in pieces
        "core.packedGitWindowSize": "32m", "core.packedGitLimit": "256m",
        "core.fsync": "committed,reference", "core.attributesFile": os.devnull,
        "pack.threads": "1", "pack.windowMemory": "128m",
        "gc.auto": "0", "maintenance.auto": "false", "receive.autogc": "false",
        # always one pack: what is refused leaves nothing, and a thousand files are one
        "receive.unpackLimit": "1", "fastimport.unpackLimit": "1",
        "receive.fsckObjects": "true", "receive.maxInputSize": f"{mib}m" if mib else "1",
        # found in honest old histories; the tree that is handed out is looked at by ourselves
        "receive.fsck.zeroPaddedFilemode": "ignore", "receive.fsck.badTimezone": "ignore",
        "receive.fsck.missingSpaceBeforeDate": "ignore",
        "receive.denyDeleteCurrent": "ignore", "receive.denyCurrentBranch": "ignore",
        "transfer.hideRefs": "refs/drafts", "uploadpack.allowFilter": "false",
        "http.receivepack": "true", "http.uploadpack": "true", "http.getanyfile": "false",
        "protocol.allow": "never", "submodule.recurse": "false", "safe.directory": "*",
        "advice.objectNameWarning": "false",
    }
    return {
        "PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "HOME": "/nonexistent",
        "XDG_CONFIG_HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_ATTR_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_ADVICE": "0",
        "GIT_CONFIG_COUNT": str(len(config)),
        **{f"GIT_CONFIG_KEY_{i}": k for i, k in enumerate(config)},
        **{f"GIT_CONFIG_VALUE_{i}": x for i, x in enumerate(config.values())},
    }


def limited(argv: Sequence[str]) -> list[str]:
    """The command with a limit on memory and time, for itself and all that it starts."""
    return ["prlimit", f"--as={_MEMORY}", f"--cpu={_CPU}", "--core=0", "--", *argv]


class Git:
    """git for one repository.

    Args:
        path: the bare repository.
        quarantine: the environment of a hook: also what is being pushed is seen.
    """

    def __init__(self, path: Path, quarantine: Mapping[str, str] | None = None) -> None:
        self.path = path
        given = quarantine or {}
        self._env = environment() | {x: given[x] for x in _QUARANTINE if x in given}

    def run(self, *arguments: str) -> str:
        """What git says.

        Raises:
            GitError: it refuses.
        """
        done = self.done(f"--git-dir={self.path}", *arguments)
        if done.returncode:
            raise GitError(f"git {arguments[0]}: {done.stderr.decode(errors='replace')[:2000]}")
        return done.stdout.decode(errors="replace")

    def done(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Git with just these arguments, and how it ended.

        Raises:
            GitError: it does not start, or takes too long.
        """
        try:
            return subprocess.run(
                limited(["git", *arguments]), env=self._env, capture_output=True, timeout=_TIME,
                check=False, stdin=subprocess.DEVNULL, cwd="/",
            )
        except (OSError, subprocess.SubprocessError) as e:
            raise GitError(str(e)) from e

    @contextmanager
    def talk(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A git to talk with; it is ended when this is left, or after its time.

        Raises:
            GitError: it does not start, or has ended.
        """
        try:
            process = subprocess.Popen(
                limited(["git", f"--git-dir={self.path}", *arguments]), env=self._env, cwd="/",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
        except OSError as e:
            raise GitError(str(e)) from e
        late = threading.Timer(_LONG, process.kill)
        late.daemon = True  # it must not keep a hook from ending
        late.start()
        try:
            yield process
        except BrokenPipeError as e:
            raise GitError(f"git {arguments[0]} has ended") from e
        finally:
            late.cancel()
            process.kill()
            for pipe in (process.stdin, process.stdout, process.stderr):
                with suppress(OSError):  # what was not sent yet goes nowhere
                    if pipe is not None:
                        pipe.close()
            process.wait()
