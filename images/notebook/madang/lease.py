"""This server's lease at Madang's service, asked from inside the server's own event loop."""

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


class Lease:
    """One lease, by the server's own token.

    Raises (each method):
        Refused: the service says no.
        Away: it is not there, or not in order.
    """

    def __init__(self, id: str, api: str, token: str) -> None:
        self.id = id
        self._url = f"{api.rstrip('/')}/leases/{id}"
        self._token = token
        self._client: AsyncHTTPClient | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Lease | None":
        """The lease that the hub wrote into the environment; None on a server without one."""
        id, api = environment.get("MADANG_LEASE", ""), environment.get("MADANG_API", "")
        token = environment.get("JUPYTERHUB_API_TOKEN", "")
        return cls(id, api, token) if id and api and token else None

    async def look(self, language: str = "") -> dict[str, Any]:
        """It as the service tells it."""
        return await self._ask("GET", "", language)

    async def extend(self, language: str = "") -> dict[str, Any]:
        """Ask for more time; what it is then."""
        return await self._ask("POST", "/extend", language, {})

    async def give_back(self, language: str = "") -> dict[str, Any]:
        """End it; the server is stopped soon after."""
        return await self._ask("DELETE", "", language)

    async def report(self, activity: Mapping[str, Any]) -> dict[str, Any]:
        """Say what the server does; what is promised, and whether a notice runs."""
        return await self._ask("POST", "/activity", "", activity)

    async def _ask(
        self, method: str, path: str, language: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        request = HTTPRequest(
            self._url + path, method, self._headers(language),
            None if body is None else json.dumps(body),
            connect_timeout=_CONNECT, request_timeout=_ANSWER, follow_redirects=False,
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


class NoLease(Lease):
    """On a server without a slice: what it does is told to nobody here. The hub asks by itself."""

    def __init__(self) -> None:
        super().__init__("", "", "")

    async def report(self, activity: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Nothing."""
        return {}


def _read(status: int, body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
        error = found.get("error")
        message = str(error["message"]) if error else ""
    except (ValueError, AttributeError, KeyError, TypeError) as e:
        # a proxy's page, or somebody else who answers there
        raise Away(f"HTTP {status}, and not in the service's words") from e
    if error and status < _SERVER_ERROR:
        raise Refused(status, message, str(error.get("reason", "")))
    if error or not 200 <= status < 300:  # noqa: PLR2004 - HTTP's own
        raise Away(f"HTTP {status} {message}".strip())
    return dict(found)
