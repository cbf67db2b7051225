"""Docker's stream of events: word of a container of ours that has ended, in that moment."""

import json
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

from docker import APIClient
from docker.errors import DockerException
from docker.types import CancellableStream

from hub.edge.engine.data import INSTANCE, LEASE


class Ends:
    """The leases of containers that end, as they do, until the stream breaks or is closed.

    A lease is "" where the container has none.

    Args:
        api: a client of its own, which is closed with it.
    """

    def __init__(self, api: APIClient, instance: str) -> None:
        wanted = {"type": ["container"], "event": ["die"], "label": [f"{INSTANCE}={instance}"]}
        self._api = api
        try:
            self._answer = api.get(
                f"{api.base_url}/v{api.api_version}/events", stream=True,
                params={"filters": json.dumps(wanted)}, timeout=(api.timeout, None),
            )
            self._answer.raise_for_status()  # an error of `requests` is an OSError
        except BaseException:
            api.close()
            raise
        # as docker-py's own `events`, whose answer cannot be closed
        self._lines = CancellableStream(self._answer.iter_lines(chunk_size=None), self._answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()
        self._answer.close()
        self._api.close()

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            told = json.loads(line)["Actor"]
            # Docker tells of an end before its list shows it; this is answered only afterwards
            with suppress(DockerException, OSError):
                self._api.inspect_container(told["ID"])
            yield str(told["Attributes"].get(LEASE, ""))

    def close(self) -> None:
        """Let whoever listens hear no more, from whichever thread; once more is fine."""
        with suppress(DockerException, OSError, AttributeError):
            self._lines.close()
