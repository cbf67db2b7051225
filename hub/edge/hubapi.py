"""JupyterHub's REST API (6.1), with a service's token.

Needs the scopes `list:users`, `read:servers`, `start:servers`, `delete:servers`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock
from typing import Any
from urllib.parse import quote

import httpx

from hub.config import Settings
from hub.errors import BadInput, NotFound, Unavailable, Unknown

_PAGES = "application/jupyterhub-pagination+json"
_TIMEOUT = httpx.Timeout(30, connect=5)


@dataclass(frozen=True)
class Server:
    """A server that the hub has: ready, or with something pending (spawn, stop, check)."""

    user: str
    name: str
    ready: bool
    pending: str = ""


class HubApi:
    """The hub. Safe to use from many threads; nothing is contacted before it is used.

    Args:
        url, token: where the API is and a token for it; by default what JupyterHub gives its
            services in the environment, else the hub's port on this machine.
    """

    def __init__(self, settings: Settings, *, url: str = "", token: str = "") -> None:
        here = f"http://127.0.0.1:{settings.hub_port}/hub/api"
        self.url = (url or os.environ.get("JUPYTERHUB_API_URL") or here).rstrip("/")
        self._token = token or os.environ.get("JUPYTERHUB_API_TOKEN", "")
        self._lock = Lock()
        self._client: httpx.Client | None = None

    @property
    def has_token(self) -> bool:
        """Whether it may be asked at all: only a service may, not the hub's own process."""
        return bool(self._token)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._client:
                self._client.close()
            self._client = None

    # ---- servers ---------------------------------------------------------------------------

    def servers(self) -> dict[tuple[str, str], Server]:
        """Every server that runs or has something pending, by (user, server name).

        Raises:
            Unknown: the hub gave no answer, or the token may not ask.
        """
        try:
            return {(x.user, x.name): x for x in self._servers()}
        except (Unavailable, NotFound, BadInput) as e:
            raise Unknown(str(e)) from e

    def start_server(self, user: str, server: str, options: Mapping[str, Any]) -> None:
        """Have the hub start it; one that starts or runs already is left alone.

        Raises:
            NotFound: the hub does not know the user. BadInput: it refuses the options or the name.
            Unavailable: it cannot now. Unknown: no answer; it may have taken it.
        """
        answer = self._ask("POST", _server(user, server), json={"user_options": dict(options)})
        if answer.status_code != HTTPStatus.BAD_REQUEST:
            _check(answer)
        elif _said(answer).endswith(("is pending stop", "is pending check", "is pending rename")):
            # not the asker's fault, and soon over
            raise Unavailable("The server is just being stopped. Try again in a minute.",
                              reason="hub", detail=_said(answer))
        elif not _said(answer).endswith("is already running"):
            _check(answer)

    def stop_server(self, user: str, server: str) -> None:
        """Have the hub stop it, or cancel its start; one that does not run is fine.

        Raises:
            Unavailable: the hub cannot now. Unknown: no answer; it may have taken it.
        """
        answer = self._ask("DELETE", _server(user, server))
        if answer.status_code != HTTPStatus.NOT_FOUND:
            _check(answer)

    # ---- inside ----------------------------------------------------------------------------

    def _servers(self) -> list[Server]:
        found: list[Server] = []
        offset: int | None = 0
        while offset is not None:
            answer = _check(self._ask(
                "GET", "/users", params={"state": "active", "offset": offset, "limit": 200},
                headers={"Accept": _PAGES},
            )).json()
            for user in answer["items"]:
                found += [
                    Server(user["name"], x["name"], bool(x["ready"]), x["pending"] or "")
                    for x in user.get("servers", {}).values()
                ]
            following = answer["_pagination"]["next"]
            offset = following["offset"] if following else None
        return found

    def _ask(self, method: str, path: str, **rest: Any) -> httpx.Response:
        try:
            return self._connection().request(method, self.url + path, **rest)
        except (httpx.ConnectError, httpx.ConnectTimeout) as e:
            raise Unavailable(
                "The hub does not answer. Try again in a minute.", reason="hub",
                detail=f"{self.url}: {e}",
            ) from e
        except httpx.HTTPError as e:
            raise Unknown(f"{method} {self.url}{path}: {type(e).__name__} {e}") from e

    def _connection(self) -> httpx.Client:
        if not self._token:
            raise Unavailable("There is no token for the hub's API (JUPYTERHUB_API_TOKEN).",
                              reason="hub")
        with self._lock:
            if self._client is None:
                # trust_env: a proxy for the way out must not get the hub's token
                self._client = httpx.Client(
                    headers={"Authorization": f"token {self._token}"}, timeout=_TIMEOUT,
                    trust_env=False,
                )
            return self._client


def _check(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    asked = f"{answer.request.method} {answer.request.url}: {answer.status_code}"
    said = _said(answer)
    if answer.status_code == HTTPStatus.NOT_FOUND:
        raise NotFound("The hub does not know this: {said}", said=said, detail=f"{asked} {said}")
    if answer.status_code == HTTPStatus.BAD_REQUEST:
        raise BadInput("The hub declined: {said}", reason="hub", said=said,
                       detail=f"{asked} {said}")
    raise Unavailable("The hub cannot do this now. Try again in a minute.", reason="hub",
                      detail=f"{asked} {said}")


def _said(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]


def _user(name: str) -> str:
    return f"/users/{quote(name, safe='')}"


def _server(user: str, server: str) -> str:
    return f"{_user(user)}/servers/{quote(server, safe='')}" if server else f"{_user(user)}/server"
