"""git's own http-backend, one process for each request, with bodies in pieces both ways."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hub.edge.repo.calling import GitError, environment, limited

log = logging.getLogger("madang.repo")
_PIECE = 64 << 10
_HEAD = 16 << 10  # bytes of headers
_SAID = 4000


class Backend:
    """One request to a repository; start it, write its body, read head and body."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._said = asyncio.create_task(_last(process.stderr))

    @classmethod
    async def start(
        cls, repo: Path, service: str, *, request: Mapping[str, str], hooks: Path, mib: int,
        more: Mapping[str, str] | None = None, keep: Sequence[int] = (),
    ) -> "Backend":
        """Git for this request.

        Args:
            service: what stands behind the repository in the address: info/refs, …
            request: CGI's variables of it.
            more: environment for our hooks; `keep`: descriptors that they find open.

        Raises:
            GitError: it does not start.
        """
        env = environment(hooks, mib) | dict(request) | dict(more or {}) | {
            "GIT_PROJECT_ROOT": str(repo.parent), "PATH_INFO": f"/{repo.name}/{service}",
            "GIT_HTTP_EXPORT_ALL": "1",
        }
        try:
            made = await asyncio.create_subprocess_exec(
                *limited(["git", "http-backend"]), env=env, cwd="/", pass_fds=tuple(keep),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE, start_new_session=True,
            )
        except OSError as e:
            raise GitError(str(e)) from e
        return cls(made)

    async def write(self, piece: bytes) -> bool:
        """Send a piece of the body; False where git reads no more."""
        assert self._process.stdin
        try:
            self._process.stdin.write(piece)
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    async def end_of_body(self) -> None:
        """There is no more of it."""
        assert self._process.stdin
        with suppress(BrokenPipeError, ConnectionResetError):
            self._process.stdin.close()
            await self._process.stdin.wait_closed()

    async def head(self) -> tuple[int, list[tuple[str, str]]]:
        """(status, headers) of the answer.

        Raises:
            GitError: git has ended without one.
        """
        assert self._process.stdout
        status, size = 200, 0
        headers: list[tuple[str, str]] = []
        while line := await self._process.stdout.readline():
            size += len(line)
            text = line.decode("latin-1").strip()
            if not text:
                return status, headers
            name, _, value = text.partition(":")
            if size > _HEAD or not value:
                break
            if name.lower() == "status":
                status = int(value.split()[0])
            else:
                headers.append((name, value.strip()))
        raise GitError(f"git http-backend: {await self.said()}")

    async def body(self) -> AsyncIterator[bytes]:
        """The answer, in pieces."""
        assert self._process.stdout
        while piece := await self._process.stdout.read(_PIECE):
            yield piece

    async def said(self) -> str:
        """What git has said on its standard error."""
        return (await self._said).decode(errors="replace")

    async def end(self) -> None:
        """End it, and all that it has started, wherever they are."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        self._said.cancel()


async def _last(pipe: asyncio.StreamReader | None) -> bytes:
    kept = b""
    assert pipe
    while piece := await pipe.read(_PIECE):
        kept = (kept + piece)[-_SAID:]
    return kept
