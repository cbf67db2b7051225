"""One docker-py client per thread, and what its errors mean."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakSet

import docker
from docker.errors import APIError, DockerException

from hub.errors import Refusal, Unavailable, Unknown

_API = (1, 40)  # Engine 19.03, the first with device requests
_PID = Path("/var/run/docker.pid")
_TIMEOUT = 60  # seconds, to connect and to read


class OldEngine(Unavailable):
    """Docker speaks an API that is too old."""


class Client:
    """Docker's API for many threads: docker-py's client is not safe, so each has its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._local = threading.local()
        self._all: WeakSet[docker.APIClient] = WeakSet()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections of all threads; a later call opens new ones."""
        with self._lock:
            for each in list(self._all):
                each.close()

    @property
    def api(self) -> docker.APIClient:
        """This thread's client.

        Raises:
            Unavailable: the engine is too old. docker-py's errors: no answer.
        """
        found: docker.APIClient | None = getattr(self._local, "api", None)
        if found is None:
            found = self.another()
            with self._lock:
                self._all.add(found)
            self._local.api = found
        return found

    def another(self) -> docker.APIClient:
        """A client of nobody's thread, for who closes it.

        Raises:
            Unavailable: the engine is too old. docker-py's errors: no answer.
        """
        _knock(self.address)
        made = docker.APIClient(self.address, timeout=_TIMEOUT, version="auto")
        _check_age(made)
        return made

    @contextmanager
    def looking(self, what: str) -> Iterator[None]:
        """No answer is Unknown.

        Raises:
            Unknown: with `what` was asked and what Docker said.
        """
        try:
            with _meaning(lambda said: Unknown(f"Docker at {self.address} did not {what}: {said}")):
                yield
        except OldEngine as e:
            raise Unknown(e.message) from e

    @contextmanager
    def acting(self, what: str) -> Iterator[None]:
        """No answer is Unavailable.

        Raises:
            Unavailable: with `what` was asked and what Docker said.
        """
        with _meaning(lambda said: Unavailable(
            "Docker at {address} did not {what}: {said}. Is it running (docker info)?",
            reason="docker", address=self.address, what=what, said=said,
        )):
            yield


@contextmanager
def _meaning(error: Callable[[str], Exception]) -> Iterator[None]:
    try:
        yield
    except (Refusal, Unknown):
        raise
    except APIError as e:
        raise error(str(e.explanation or e)) from e
    # OSError: what `requests` raises (time-outs, broken connections) is one
    except (DockerException, OSError) as e:
        raise error(str(e)) from e


def daemons(address: str) -> Iterator[int]:
    """Processes that may be the dockerd of `address`, the likeliest first; none if it is elsewhere.

    systemd may hold the socket in its stead; then the daemon's own file names it. Other dockerds
    (in containers, for tests) are to be seen in /proc as well, so that is not searched.
    """
    with suppress(OSError), _line(address) as line:
        credentials = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        yield struct.unpack("3i", credentials)[0]
        with suppress(ValueError):
            yield int(_PID.read_text())


def _knock(address: str) -> None:
    # docker-py leaves a socket open when the daemon is not there
    if address.startswith("unix:"):
        _line(address).close()


def _line(address: str) -> socket.socket:
    if not address.startswith("unix:"):
        raise OSError("not a socket on this machine")
    line = socket.socket(socket.AF_UNIX)
    try:
        line.connect("/" + address.removeprefix("unix:").lstrip("/"))
    except OSError:
        line.close()
        raise
    return line


def _check_age(api: docker.APIClient) -> None:
    spoken = tuple(int(x) for x in str(api.api_version).split("."))
    if spoken < _API:
        raise OldEngine(
            "Docker Engine here is too old (its API is {api}). Madang needs Engine 19.03 "
            "(API 1.40) or newer: update Docker.",
            reason="old-docker", api=api.api_version,
        )
