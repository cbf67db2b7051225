"""Madang's REST API, as the command line and the notebook speak to it."""

import json
import os
from collections.abc import Iterator
from typing import Any

import httpx

_configured: dict[str, str] = {}


class Problem(Exception):
    """What the person is told, in one line; `code` is the exit code of the command."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


UNREACHABLE = 3


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
        token = (
            env.get("MADANG_TOKEN") or env.get("JUPYTERHUB_API_TOKEN") or _configured.get("token", "")
        )
        if not api or not token:
            raise Problem(
                "no access: run this in a terminal of your server, or set MADANG_API and "
                "MADANG_TOKEN (on the host: as root, in the folder of Madang)", UNREACHABLE,
            )
        language = (env.get("MADANG_LANG") or env.get("LC_ALL") or env.get("LANG") or "en")[:2]
        self._api = api.rstrip("/")
        self._http = httpx.Client(
            timeout=httpx.Timeout(30, connect=10),
            headers={"Authorization": f"Bearer {token}", "Accept-Language": language},
        )

    def call(self, method: str, path: str, **rest: Any) -> Any:
        """The answer's JSON."""
        return self._answer(method, path, **rest).json()

    def text(self, path: str) -> str:
        """The answer's text."""
        return self._answer("GET", path).text

    def events(self, path: str) -> Iterator[tuple[str, Any]]:
        """(event, data) of a stream until it ends; the read has no time limit but keep-alives."""
        try:
            with self._http.stream(
                "GET", f"{self._api}/{path}", timeout=httpx.Timeout(60, connect=10)
            ) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    _check(answer)
                yield from _parse(answer.iter_lines())
        except httpx.HTTPError as e:
            raise Problem(f"the connection to Madang broke: {e}", UNREACHABLE) from e

    def _answer(self, method: str, path: str, **rest: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, f"{self._api}/{path}", **rest)
        except httpx.HTTPError as e:
            raise Problem(
                f"Madang does not answer at {self._api}: {e}. Is it running? (`make status`)",
                UNREACHABLE,
            ) from e
        _check(answer)
        return answer


def _check(answer: httpx.Response) -> None:
    if answer.status_code < 400:
        return
    try:
        message = answer.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        # the proxy's own page while the service is away
        message = f"HTTP {answer.status_code} from {answer.url}"
    away = answer.status_code in (502, 503) and "error" not in answer.text[:20]
    raise Problem(message, UNREACHABLE if away else 2)


def _parse(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    event, data = "message", ""
    for line in lines:
        if line.startswith("event:"):
            event = line[6:].strip()
        elif line.startswith("data:"):
            data += line[5:].lstrip()
        elif not line and (data or event != "message"):
            yield event, json.loads(data) if data else None
            event, data = "message", ""
