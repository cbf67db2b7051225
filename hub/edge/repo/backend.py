"""git's own http-backend, one process for each request, with bodies in pieces both ways."""

import asyncio
import logging
import os
import select
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from hub.edge.repo.calling import GitError, environment, limited

log = logging.getLogger("madang.repo")
_PIECE = 64 << 10
_HEAD = 16 << 10  # bytes of headers
_SAID = 4000
_GRACE = 3.0  # seconds


class _Pipe(NamedTuple):
    reader: asyncio.StreamReader
    transport: asyncio.ReadTransport


class Backend:
    """One request to a repository; start it, write its body, read head and body.

    Git has ended when its answer has. It is reaped by `end` alone: until then no other process, and
    no group of processes, can have its number.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], given: asyncio.StreamWriter,
        answer: _Pipe, said: _Pipe,
    ) -> None:
        self._process = process
        self._given = given
        self._answer = answer.reader
        self._said = asyncio.create_task(_last(said.reader))
        self._pipes = (answer.transport, said.transport)

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
        process = _started(env, keep)
        assert process.stdin
        assert process.stdout
        assert process.stderr
        try:
            return cls(
                process, await _writer(process.stdin), await _reader(process.stdout),
                await _reader(process.stderr),
            )
        except BaseException:
            process.kill()
            process.wait()
            raise

    async def write(self, piece: bytes) -> bool:
        """Send a piece of the body; False where git reads no more."""
        try:
            self._given.write(piece)
            await self._given.drain()
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    async def end_of_body(self) -> None:
        """There is no more of it."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._given.close()
            await self._given.wait_closed()

    async def head(self) -> tuple[int, list[tuple[str, str]]]:
        """(status, headers) of the answer.

        Raises:
            GitError: git has ended without one, or it is none.
        """
        status, size = 200, 0
        headers: list[tuple[str, str]] = []
        with suppress(ValueError):  # a line without an end, or a status that is no number
            while line := await self._answer.readline():
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
        while piece := await self._answer.read(_PIECE):
            yield piece

    async def said(self) -> str:
        """What git has said on its standard error; not for ever, it may be held open."""
        done, _ = await asyncio.wait({self._said}, timeout=_GRACE)
        return self._said.result().decode(errors="replace") if done else ""

    async def end(self, rest: Callable[[float], object] = lambda _: None) -> None:
        """End it, and all that it has started, wherever they are.

        Args:
            rest: waits so many seconds for what git has started, which may live longer than git.
        """
        await asyncio.to_thread(self._end, rest)
        self._said.cancel()
        self._given.close()
        for pipe in self._pipes:  # one that nobody reads to its end does not close itself
            pipe.close()

    def _end(self, rest: Callable[[float], object]) -> None:
        """Told first: a git that is killed leaves its locks, and nobody could push any more."""
        if self._process.returncode is not None:
            return  # the number may be another's by now
        self._signal(signal.SIGTERM)
        leader = os.pidfd_open(self._process.pid)
        try:
            ended = select.poll()
            ended.register(leader, select.POLLIN)
            ended.poll(_GRACE * 1000)
        finally:
            os.close(leader)
        rest(_GRACE)
        self._signal(signal.SIGKILL)  # what has outlived its leader, too
        self._process.wait()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _started(env: Mapping[str, str], keep: Sequence[int]) -> subprocess.Popen[bytes]:
    """A process of git. Not asyncio's: that reaps it at once, and its group could not be ended.

    Raises:
        GitError: it does not start.
    """
    try:
        return subprocess.Popen(
            limited(["git", "http-backend"]), env=env, cwd="/", pass_fds=tuple(keep),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, bufsize=0,
        )
    except OSError as e:
        raise GitError(str(e)) from e


async def _reader(pipe: IO[bytes]) -> _Pipe:
    made = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(made), pipe)
    return _Pipe(made, transport)


async def _writer(pipe: IO[bytes]) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    # the protocol of a reader is the only public one that a writer can wait with
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), pipe)
    return asyncio.StreamWriter(transport, protocol, None, loop)


async def _last(pipe: asyncio.StreamReader) -> bytes:
    kept = b""
    while piece := await pipe.read(_PIECE):
        kept = (kept + piece)[-_SAID:]
    return kept
