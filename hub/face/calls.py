"""Blocking calls (Docker, the store) in threads, and knowing when the last of them is over.

DockerSpawner makes every Docker call of every user in one thread, so three slow stops held up a
fourth person's start for half a minute.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

T = TypeVar("T")
# everything that docker-py raises; a lost connection comes as requests' own
DOCKER_ERRORS = (DockerException, RequestException)

_DOCKER_THREADS = 16
_STORE_THREADS = 8
_TIMEOUT = 60  # seconds without an answer from Docker after which a call fails


def status_of(error: Exception) -> int | None:
    """The HTTP status of Docker's answer; None where there was none."""
    return error.status_code if isinstance(error, APIError) else None


class Threads:
    """The hub's threads: some for Docker, others for the store; neither waits for the other.

    Args:
        docker_url: where Docker's API answers.
    """

    def __init__(self, docker_url: str) -> None:
        self._url = docker_url
        self._local = threading.local()
        self.docker = ThreadPoolExecutor(_DOCKER_THREADS, "docker")
        self.store = ThreadPoolExecutor(_STORE_THREADS, "store")

    def client(self) -> docker.APIClient:
        """This thread's Docker client: docker-py's sessions are not made to be shared."""
        found: docker.APIClient | None = getattr(self._local, "client", None)
        if found is None:
            found = docker.APIClient(base_url=self._url, version="auto", timeout=_TIMEOUT)
            self._local.client = found
        return found


class Calls:
    """One spawner's calls in threads.

    A cancelled coroutine leaves its call running in its thread: `quiet` waits until all are over,
    so that what is cleaned up after a cancelled start is not made again a moment later.
    """

    def __init__(self, threads: Threads) -> None:
        self.threads = threads
        self._running: set[Future[Any]] = set()

    def docker(self, method: str, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        """Call `method` of Docker's client."""
        def call() -> Any:
            return getattr(self.threads.client(), method)(*args, **kwargs)

        return self._submit(self.threads.docker, call)

    def store(self, call: Callable[[], T]) -> asyncio.Future[T]:
        """Call a verb of the broker."""
        return self._submit(self.threads.store, call)

    async def quiet(self) -> None:
        """Return when no call is under way any more, however it ended."""
        while self._running:
            waiting = [asyncio.wrap_future(x) for x in tuple(self._running)]
            await asyncio.wait(waiting)
            for done in waiting:
                # fetched, or asyncio reports an exception that nobody asked for
                done.cancelled() or done.exception()

    def _submit(self, pool: ThreadPoolExecutor, call: Callable[[], T]) -> asyncio.Future[T]:
        future = pool.submit(call)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        return asyncio.wrap_future(future)
