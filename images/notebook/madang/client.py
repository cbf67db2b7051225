"""Madang's REST API, as the command line and the notebook speak to it."""

import json
import os
from collections.abc import Iterator
from typing import Any

import httpx

from madang import clock
from madang.messages import language, t

_configured: dict[str, str] = {}
UNREACHABLE = 3
_QUIET = 60.0  # seconds; the service sends a sign of life every 15


class Problem(Exception):
    """What the person is told, in one line; `code` is the exit code of the command."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


def configure(api: str, token: str) -> None:
    """Use this address and token where the environment names none (the host's `madang`)."""
    _configured.update(api=api, token=token)


class Client:
    """One person's access; the token says whose.

    Raises (each method):
        Problem: code 2 where the service refuses (with its message), 3 where it is not reached.
    """

    def __init__(self) -> None:
        env = os.environ
        api = env.get("MADANG_API") or _configured.get("api", "")
        token = env.get("MADANG_TOKEN") or env.get("JUPYTERHUB_API_TOKEN")
        token = token or _configured.get("token", "")
        if not api or not token:
            raise Problem(t(
                "no access: run this in a terminal of your server, or set MADANG_API and "
                "MADANG_TOKEN (on the host: as root, in the folder of Madang)"
            ), UNREACHABLE)
        self._api = api.rstrip("/")
        self._http = httpx.Client(
            timeout=httpx.Timeout(30, connect=10),
            headers={"Authorization": f"Bearer {token}", "Accept-Language": language()},
        )

    def call(self, method: str, path: str, **rest: Any) -> Any:
        """The answer's JSON."""
        answer = self._answer(method, path, **rest)
        try:
            return answer.json()
        except ValueError as e:
            # a login page or a proxy's own, with status 200
            raise self._away(f"{answer.headers.get('content-type', 'no type')}, not JSON") from e

    def text(self, path: str, **rest: Any) -> str:
        """The answer's text."""
        return self._answer("GET", path, **rest).text

    def content(self, path: str, **rest: Any) -> bytes:
        """The answer's bytes."""
        return self._answer("GET", path, **rest).content

    def events(self, path: str) -> Iterator[tuple[str, Any]]:
        """(event, data) of a stream, from its beginning to its end."""
        try:
            with self._http.stream(
                "GET", f"{self._api}/{path}", timeout=httpx.Timeout(_QUIET, connect=10)
            ) as answer:
                if answer.is_error:
                    answer.read()
                    self._check(answer)
                yield from parse(answer.iter_lines())
        except httpx.HTTPError as e:
            raise self._away(e) from e

    def _answer(self, method: str, path: str, **rest: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, f"{self._api}/{path}", **rest)
        except (httpx.HTTPError, httpx.InvalidURL) as e:
            raise self._away(e) from e
        clock.use(answer.headers.get(clock.HEADER, ""))
        self._check(answer)
        return answer

    def _check(self, answer: httpx.Response) -> None:
        if answer.is_success:
            return
        try:
            message = answer.json()["error"]["message"]
        except (ValueError, KeyError, TypeError) as e:
            # not the service's word: the proxy says so while the service is away
            raise self._away(f"HTTP {answer.status_code}") from e
        raise Problem(message)

    def _away(self, error: object) -> Problem:
        return Problem(t(
            "Madang does not answer at {api}: {error}. Is it running? (on the host: madang status)",
            api=self._api, error=str(error) or type(error).__name__,
        ), UNREACHABLE)


def parse(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """Server-sent events out of lines; an event without a name is `message`."""
    event, data = "message", ""
    for line in lines:
        field, _, text = line.partition(":")
        if field == "event":
            event = text.strip()
        elif field == "data":
            data += text
        elif not line:
            if data:
                yield event, json.loads(data)
            event, data = "message", ""
