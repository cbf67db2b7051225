"""One container of one server: what DockerSpawner does in Docker, done otherwise.

404 is absence; every other answer than the one expected is Unknown. The end of the log, the exit
code and the OOM flag are kept before each removal.
"""

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from dockerspawner import DockerSpawner
from traitlets import default

from hub.config import Settings
from hub.core.names import safe_name
from hub.errors import Unknown
from hub.face import lastwords
from hub.face.calls import DOCKER_ERRORS, Calls, Threads, status_of

_GONE, _CONFLICT = 404, 409
_GRACE = 15  # seconds beyond the stop's own time limit after which Docker is not waited for
_LOOK = 0.25  # seconds between two looks whether a container is gone


def name_of(installation: str, user: str, server: str) -> str:
    """The name of a server's container; also of the file with its last words."""
    return f"{installation}-{safe_name(user)}" + (f"--{safe_name(server)}" if server else "")


class ContainerSpawner(DockerSpawner):
    """A spawner that knows its one container by its name. Subclasses set `settings`, `threads`."""

    settings: Settings
    threads: Threads

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls = Calls(self.threads)
        self.cause = ""  # why the server ends, for its last words and for the lease

    @default("object_name")
    def _object_name_default(self) -> str:
        # not name_template: it would run str.format over names that people chose
        return name_of(self.settings.name, self.user.name, self.name)

    @property
    def executor(self) -> ThreadPoolExecutor:
        """The pool that all spawners share, in place of DockerSpawner's one thread."""
        return self.threads.docker

    def docker(self, method: str, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        """Call a method of Docker's client in a thread."""
        return self.calls.docker(method, *args, **kwargs)

    async def get_object(self) -> dict[str, Any] | None:
        """`docker inspect` of our container; None where there is none.

        Raises:
            Unknown: Docker gave no usable answer; the container's id is kept.
        """
        try:
            found: dict[str, Any] = await self.docker("inspect_container", self.object_name)
        except DOCKER_ERRORS as e:
            if status_of(e) == _GONE:
                return None
            raise Unknown(str(e)) from e
        self.object_id = found["Id"]
        return found

    async def last_words(self) -> lastwords.LastWords | None:
        """Keep the end of our container's log, its exit code and whether it ran out of memory."""
        found = await self.get_object()
        if found is None:
            return None
        try:
            log = await self.docker("logs", found["Id"], tail=lastwords.LINES)
        except DOCKER_ERRORS as e:
            log = str(e).encode()
        kept = lastwords.of_container(found, log, cause=self.cause, at=datetime.now(UTC))
        keep = functools.partial(lastwords.keep, self.settings.data, self.object_name, kept)
        await self.calls.store(keep)
        return kept

    async def take_down(self, *, now: bool) -> None:
        """Stop our container, keep its last words, remove it; its absence is fine.

        Raises:
            Unknown: Docker gave no usable answer.
        """
        try:
            found = await self.get_object()
            if found is None:
                return
            if found["State"]["Running"]:
                await self._halt(found["Id"], 0 if now else self.settings.stop_timeout)
            await self.last_words()
        finally:
            await self.remove_object()

    async def _halt(self, container: str, seconds: int) -> None:
        """SIGTERM, and SIGKILL after `seconds`. Docker itself is not waited for without end."""
        try:
            async with asyncio.timeout(seconds + _GRACE):
                await self.docker("stop", container, timeout=seconds)
        except (TimeoutError, *DOCKER_ERRORS) as e:
            self.log.warning("%s does not stop (%s); its removal kills it", self._log_name, e)

    async def remove_object(self) -> None:
        """Remove our container, running or not; its absence is fine.

        Raises:
            Unknown: Docker gave no usable answer.
        """
        try:
            await self.docker("remove_container", self.object_name, v=True, force=True)
        except DOCKER_ERRORS as e:
            if status_of(e) not in (_GONE, _CONFLICT):  # _CONFLICT: it is being removed already
                raise Unknown(str(e)) from e
        self.object_id = ""

    async def clear_away(self) -> None:
        """Remove our container and return when it is gone.

        Raises:
            Unknown: Docker gave no usable answer.
        """
        await self.remove_object()
        while await self.get_object() is not None:  # noqa: ASYNC110 - Docker tells nobody
            await asyncio.sleep(_LOOK)
        self.object_id = ""
