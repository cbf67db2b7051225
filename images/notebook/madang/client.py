"""Madang's REST API, as the command line and the notebook speak to it."""

import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from madang import clock
from madang.messages import language, t

_configured: dict[str, str] = {}
UNREACHABLE = 3
_QUIET = 60.0  # seconds; the service sends a sign of life every 15
# seconds before a submission is sent again; after a restart the service is back in some ten
_AGAIN = (1.0, 2.0, 4.0, 8.0)
_PATIENCE = 90.0  # seconds after which it is sent no more: each try may take 30
# a proxy's words while the service is away, and the service's own that ask to try again
_LOST = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)
_GATEWAY = frozenset({502, 503, 504})
_SOON = frozenset({"busy", "unavailable"})


class Problem(Exception):
    """What the person is told, in one line; `code` is the exit code of the command.

    `passing`: the same may go well in some seconds.
    """

    def __init__(self, message: str, code: int = 2, *, passing: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.passing = passing


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

    def submit(self, path: str, body: Any, say: Callable[[str], None] | None = None) -> Any:
        """Have something made, and the answer's JSON. It is made once, however often it is sent.

        Where no answer comes it is sent again for some seconds; `say` tells the person, on stderr
        if not given.
        """
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        end = time.monotonic() + _PATIENCE
        for wait in (*_AGAIN, None):
            try:
                return self.call("POST", path, json=body, headers=headers)
            except Problem as e:
                if not e.passing or wait is None or time.monotonic() > end:
                    raise
            (say or _on_stderr)(t(
                "Madang cannot answer just now; sending it again (it runs only once)"
            ))
            time.sleep(wait)
        raise AssertionError  # the last try returns or raises

    def text(self, path: str, **rest: Any) -> str:
        """The answer's text."""
        return self._answer("GET", path, **rest).text

    def pieces(self, path: str) -> Iterator[bytes]:
        """The answer's bytes as they come, however long that takes in all.

        Raises:
            Problem: also in the middle; what came until then is not the whole.
        """
        begun = False
        try:
            with self._http.stream(
                "GET", f"{self._api}/{path}", timeout=httpx.Timeout(_QUIET, connect=10)
            ) as answer:
                if not answer.is_success:
                    answer.read()
                    self._check(answer)
                begun = True
                yield from answer.iter_bytes()
        except httpx.HTTPError as e:
            if begun:
                error = str(e) or type(e).__name__
                raise Problem(
                    t("the transfer broke off: {error}. Try again", error=error), UNREACHABLE
                ) from e
            raise self._away(e) from e

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
            raise self._away(e, passing=isinstance(e, _LOST)) from e
        clock.use(answer.headers.get(clock.HEADER, ""))
        self._check(answer)
        return answer

    def _check(self, answer: httpx.Response) -> None:
        if answer.is_success:
            return
        status = answer.status_code
        try:
            error = answer.json()["error"]
            message, reason = error["message"], error.get("reason")
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            # not the service's word: the proxy says so while the service is away
            raise self._away(f"HTTP {status}", passing=status in _GATEWAY) from e
        raise Problem(message, passing=status in _GATEWAY and reason in _SOON)

    def _away(self, error: object, *, passing: bool = False) -> Problem:
        return Problem(t(
            "Madang does not answer at {api}: {error}. Is it running? (on the host: madang status)",
            api=self._api, error=str(error) or type(error).__name__,
        ), UNREACHABLE, passing=passing)


def _on_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


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
