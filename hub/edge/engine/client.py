"""One docker-py client per thread, and what its errors mean."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import docker
from docker.errors import APIError, DockerException

from hub.errors import Refusal, Unavailable, Unknown

_API = (1, 40)  # Engine 19.03, the first with device requests
_TIMEOUT = 60  # seconds, to connect and to read


class Client:
    """Docker's API for many threads: docker-py's client is not safe, so each has its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._local = threading.local()

    @property
    def api(self) -> docker.APIClient:
        """This thread's client.

        Raises:
            Unavailable: the engine is too old. docker-py's errors: no answer.
        """
        found: docker.APIClient | None = getattr(self._local, "api", None)
        if found is None:
            found = docker.APIClient(self.address, timeout=_TIMEOUT, version="auto")
            _check_age(found)
            self._local.api = found
        return found

    @contextmanager
    def looking(self, what: str) -> Iterator[None]:
        """No answer is Unknown.

        Raises:
            Unknown: with `what` was asked and what Docker said.
        """
        with _meaning(lambda said: Unknown(f"Docker at {self.address} did not {what}: {said}")):
            yield

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


def _check_age(api: docker.APIClient) -> None:
    spoken = tuple(int(x) for x in str(api.api_version).split("."))
    if spoken < _API:
        raise Unavailable(
            "Docker Engine here is too old (its API is {api}). Madang needs Engine 19.03 "
            "(API 1.40) or newer: update Docker.",
            reason="old-docker", api=api.api_version,
        )
