"""Madang's service, asked from inside a Jupyter server's own event loop with the server's token."""

import json
from collections.abc import Mapping
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPError, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

_CONNECT, _ANSWER = 3.0, 10.0  # seconds
_SERVER_ERROR = 500


class Refused(Exception):
    """The service's no, in its own words, which are in the language that it was asked in."""

    def __init__(self, status: int, message: str, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Away(Exception):
    """The service gave no answer that is its own; the text is for the log."""


class Asking:
    """What lies below one address of the service.

    Raises (`ask`):
        Refused: the service says no.
        Away: it is not there, or not in order.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._client: AsyncHTTPClient | None = None

    async def ask(
        self, method: str, path: str, language: str, body: Mapping[str, Any] | None = None,
        seconds: float = _ANSWER,
    ) -> Any:
        """The answer's JSON; Away where it takes longer than `seconds`."""
        request = HTTPRequest(
            self._url + path, method, self._headers(language),
            None if body is None else json.dumps(body),
            connect_timeout=_CONNECT, request_timeout=seconds, follow_redirects=False,
        )
        if self._client is None:
            # not curl: it would send this through the campus proxy that students' pip needs
            self._client = SimpleAsyncHTTPClient(force_instance=True)
        try:
            answer = await self._client.fetch(request, raise_error=False)
        except (HTTPError, OSError, ValueError) as e:
            raise Away(str(e) or type(e).__name__) from e
        return _read(answer.code, answer.body)

    def _headers(self, language: str) -> dict[str, str]:
        said = {"Accept-Language": language} if language else {}
        return {
            "Authorization": f"Bearer {self._token}", "Content-Type": "application/json", **said,
        }


def _read(status: int, body: bytes) -> Any:
    try:
        found = json.loads(body)
        error = found.get("error") if isinstance(found, dict) else None
        message = str(error["message"]) if error else ""
    except (ValueError, AttributeError, KeyError, TypeError) as e:
        # a proxy's page, or somebody else who answers there
        raise Away(f"HTTP {status}, and not in the service's words") from e
    if error and status < _SERVER_ERROR:
        raise Refused(status, message, str(error.get("reason", "")))
    if error or not 200 <= status < 300:  # noqa: PLR2004 - HTTP's own
        raise Away(f"HTTP {status} {message}".strip())
    return found
