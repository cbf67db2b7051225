"""Madang's service, asked from inside a Jupyter server's event loop."""

# jupyter_scheduler has no types
# mypy: disable-error-code="misc, import-not-found, import-untyped"

import asyncio
import logging
from typing import Any

from jupyter_scheduler.exceptions import SchedulerError

from madang.client import Client, Problem

log = logging.getLogger("madang.jobs")


class Service:
    """The service by the server's own token, as the command line in a terminal has it.

    Raises (each method):
        SchedulerError: the service refuses, or it is not reached; the text is for the person.
    """

    def __init__(self) -> None:
        self._client: Client | None = None

    async def ask(self, method: str, path: str, **rest: Any) -> Any:
        """The answer's JSON. In a thread: kernels' messages go on meanwhile."""
        return await in_thread(self._ask, method, path, **rest)

    async def submit(self, path: str, body: Any) -> Any:
        """Have something made, once, however often it must be sent; the answer's JSON."""
        return await in_thread(self._submit, path, body)

    async def text(self, path: str) -> str:
        """The answer's text."""
        return str(await in_thread(self._text, path))

    def _ask(self, method: str, path: str, **rest: Any) -> Any:
        return self._found().call(method, path, **rest)

    def _submit(self, path: str, body: Any) -> Any:
        # Lab's form waits meanwhile; this is for whoever reads the server's log
        return self._found().submit(path, body, log.info)

    def _text(self, path: str) -> str:
        return self._found().text(path)

    def _found(self) -> Client:
        if self._client is None:
            self._client = Client()  # here, where its refusal is heard
        return self._client


async def in_thread(work: Any, *args: Any, **rest: Any) -> Any:
    """What `work` gives; a problem in the words for the person.

    Raises:
        SchedulerError: it said a Problem.
    """
    try:
        return await asyncio.to_thread(work, *args, **rest)
    except Problem as e:
        raise SchedulerError(str(e)) from None  # told to the person, logged by Lab
