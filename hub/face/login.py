"""Who asks: HubOAuth for pages, tokens for the API.

A student's own server answers on the same origin, so "same origin" proves nothing here: whatever
comes with the cookie alone must be a navigation that only reads, everything else needs a token
that only our page knows (JupyterHub's own rule, `jupyterhub/_xsrf_utils.py`). Bearer tokens need no
such proof, because no browser sends them by itself.
"""

import hashlib
import hmac
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from anyio import to_thread
from fastapi import Depends, Request
from jupyterhub.services.auth import HubOAuth
from starlette.responses import RedirectResponse, Response
from tornado.web import HTTPError

from hub.core import roster
from hub.core.roster import Member, Role
from hub.errors import NotAllowed, Unavailable
from hub.face.caller import Caller

log = logging.getLogger("madang.login")
OPERATOR_SERVICE = "madang-host"  # the command line on the host, with the token in the data folder
_LONGEST_TOKEN = 512
_CACHE = 15  # seconds for which a token that was taken back still works
_STATE_AGE = 600


class LoginNeeded(Exception):
    """A page was asked for by nobody we know: send them to the hub."""


class Login:
    """Identity for one service.

    Args:
        auth: knows the hub's API and this service's OAuth client.
        members: the roster, read at every request so that a changed role counts at once.
        secure: the cookies' Secure flag: whether people come by https.
    """

    def __init__(
        self, auth: HubOAuth, members: Callable[[], Iterable[Member]], *, secure: bool = False
    ) -> None:
        self.auth = auth
        self._members = members
        self._secure = secure

    # ---- who -------------------------------------------------------------------------------

    async def caller(self, request: Request, *, scopes: frozenset[str] = frozenset()) -> Caller:
        """The caller of an API route.

        Args:
            scopes: hub scopes of which one is enough without access to the service.

        Raises:
            NotAllowed: 401 without a valid token or cookie, 403 without access or XSRF token.
            Unavailable: the hub does not answer.
        """
        model = await self._model(request)
        if model is None:
            raise NotAllowed(
                "Log in first: no valid token or session came with the request.",
                reason="not-logged-in", status=401,
            )
        return await self._checked(model, scopes)

    async def by_token(self, token: str) -> Caller | None:
        """Whose token this is, for what comes without a header of ours: git; None where nobody's.

        Raises:
            NotAllowed: 403: somebody without access.
            Unavailable: the hub does not answer.
        """
        model = await self._known(token, "")
        return None if model is None else await self._checked(model, frozenset())

    async def visitor(self, request: Request) -> Caller:
        """The caller of a page.

        Raises:
            LoginNeeded: nobody is logged in.
            NotAllowed: no access, or the page is not navigated to but fetched.
        """
        token = self._cookie(request)
        model = await self._ask(token, request) if token else None
        if model is None:
            raise LoginNeeded
        if not _is_navigation(request):
            # a fetched page would hand its XSRF token to a notebook's script
            raise NotAllowed("Open this page in the browser's address bar.")
        return await self._checked(model, frozenset())

    def xsrf(self, request: Request) -> str:
        """What the page sends back to prove that it is ours; bound to the session."""
        return _xsrf(self._cookie(request) or "")

    async def _model(self, request: Request) -> Mapping[str, Any] | None:
        given = self.auth.auth_header_pat.match(request.headers.get("authorization", ""))
        if given:
            return await self._ask(given.group(1).strip(), request)
        cookie = self._cookie(request)
        if not cookie:
            return None
        if not _is_navigation(request):
            sent = request.headers.get("x-xsrftoken") or request.query_params.get("_xsrf", "")
            if not hmac.compare_digest(sent.encode(), _xsrf(cookie).encode()):
                raise NotAllowed("The request did not come from our own page. Reload the page.")
        return await self._ask(cookie, request)

    async def _ask(self, token: str, request: Request) -> Mapping[str, Any] | None:
        # part of the cache's key: a logout at the hub clears it, and with it the cached answer
        return await self._known(token, request.cookies.get("jupyterhub-session-id", ""))

    async def _known(self, token: str, session: str) -> Mapping[str, Any] | None:
        if len(token) > _LONGEST_TOKEN or not token.isascii() or not token.isprintable():
            return None
        try:
            model: Mapping[str, Any] | None = await self.auth.user_for_token(
                token, session_id=session, sync=False
            )
        except HTTPError as e:
            raise Unavailable(
                "The hub does not answer just now. Try again in a few seconds.", detail=str(e)
            ) from e
        return model

    async def _checked(self, model: Mapping[str, Any], enough: frozenset[str]) -> Caller:
        scopes = frozenset(model.get("scopes", ()))
        allowed = self.auth.check_scopes(self.auth.access_scopes, model)
        if not allowed and not scopes & enough:
            raise NotAllowed("You have no access to Madang. Ask the operator to add you.")
        members = await to_thread.run_sync(self._members)
        return _caller(model, scopes, members)

    def _cookie(self, request: Request) -> str | None:
        return request.cookies.get(self.auth.cookie_name)

    # ---- OAuth -----------------------------------------------------------------------------

    def redirect(self, request: Request) -> Response:
        """Send the browser to the hub; it comes back to `callback`."""
        verifier, challenge, method = self.auth.generate_pkce_code_challenge()
        query = f"?{request.url.query}" if request.url.query else ""
        state = self.auth.generate_state(request.url.path + query, code_verifier=verifier)
        params = {"state": state, "code_challenge": challenge, "code_challenge_method": method}
        answer = RedirectResponse(f"{self.auth.login_url}&{urlencode(params)}", status_code=302)
        self._set(answer, self._state_cookie(state), state, _STATE_AGE)
        return answer

    async def callback(self, request: Request) -> Response:
        """The hub has sent the browser back with a code.

        Raises:
            NotAllowed: the hub refused, or this is not the browser that began.
            Unavailable: the hub does not answer.
        """
        state, code = request.query_params.get("state", ""), request.query_params.get("code", "")
        began = request.cookies.get(self._state_cookie(state), "")
        ours = bool(state) and hmac.compare_digest(began.encode(), state.encode())
        verifier = self.auth.get_code_verifier(state)
        if not (ours and code and verifier):
            raise NotAllowed(
                "The login did not finish. Open the page again.",
                detail=f"callback: error={request.query_params.get('error')!r} ours={ours}",
            )
        next_url = self.auth.get_next_url(state)
        self.auth.clear_oauth_state(state)
        token = await self._token(code, verifier)
        answer = RedirectResponse(next_url, status_code=302)
        answer.delete_cookie(self._state_cookie(state), path=self.auth.cookie_path)
        self._set(answer, self.auth.cookie_name, token, None)
        return answer

    async def _token(self, code: str, verifier: str) -> str:
        try:
            return str(await self.auth.token_for_code(code, code_verifier=verifier, sync=False))
        except HTTPError as e:
            # HubOAuth turns the hub's "bad code" and "hub is away" into the same kind of error
            raise NotAllowed(
                "The login did not finish. Open the page again.", detail=f"callback: {e}"
            ) from e

    def _state_cookie(self, state: str) -> str:
        # one for each login under way: two tabs may log in at once
        return f"{self.auth.state_cookie_name}-{hashlib.sha256(state.encode()).hexdigest()[:8]}"

    def _set(self, answer: Response, name: str, value: str, age: int | None) -> None:
        answer.set_cookie(
            name, value, max_age=age, path=self.auth.cookie_path, httponly=True,
            secure=self._secure or self.auth.cookie_host_prefix_enabled, samesite="lax",
        )


def hub_auth(prefix: str) -> HubOAuth:
    """HubOAuth out of the environment that JupyterHub gives its services."""
    return HubOAuth(base_url=prefix, cache_max_age=_CACHE)


def is_https() -> bool:
    """Whether people reach the hub by https, as far as the hub knows."""
    return os.environ.get("JUPYTERHUB_PUBLIC_URL", "").startswith("https:")


def _caller(
    model: Mapping[str, Any], scopes: frozenset[str], members: Iterable[Member]
) -> Caller:
    name, kind = str(model["name"]), str(model.get("kind", "user"))
    host = kind == "service" and name == OPERATOR_SERVICE
    if kind != "user":  # a service may be named like a person of the roster
        return Caller(name=name, kind=kind, scopes=scopes, is_operator=host)
    people = tuple(members)
    own = [m for m in people if m.name == name]
    # the hub keeps its own mark until the next login: it counts only where there is no roster
    operator = roster.is_operator(own, name) if people else bool(model.get("admin"))
    instructs = tuple(m.group for m in own if m.role is Role.INSTRUCTOR)
    groups = tuple(sorted({*(m.group for m in own), *model.get("groups", ())}))
    if _is_of_a_server(scopes):
        return Caller(
            name=name, scopes=scopes, groups=groups, withheld=operator or bool(instructs)
        )
    return Caller(
        name=name, scopes=scopes, groups=groups, is_operator=operator,
        is_instructor=bool(instructs), instructs=instructs,
        teaches=frozenset(
            m.name for m in people if m.group in instructs and m.role is Role.STUDENT
        ),
    )


def _is_of_a_server(scopes: frozenset[str]) -> bool:
    """Whether a token was made for a single-user server: only these name one server.

    Every notebook that its owner opens can read it in the environment, somebody else's too.
    """
    return any("!server=" in x for x in scopes)


def _is_navigation(request: Request) -> bool:
    """A read that a person made by opening an address.

    Browsers on plain http to another host send no Sec-Fetch headers: their reads pass, as in
    JupyterHub; their writes never do.
    """
    mode = request.headers.get("sec-fetch-mode", "unspecified")
    return request.method in ("GET", "HEAD") and mode in ("navigate", "unspecified")


def _xsrf(cookie: str) -> str:
    return hmac.new(cookie.encode(), b"madang-xsrf", hashlib.sha256).hexdigest()


async def api_caller(request: Request) -> Caller:
    """FastAPI dependency: the caller of an API route, found once for a request."""
    known: Caller | None = getattr(request.state, "caller", None)
    if known is None:
        login: Login = request.app.state.login
        known = request.state.caller = await login.caller(request)
    return known


async def page_visitor(request: Request) -> Caller:
    """FastAPI dependency: the caller of a page."""
    login: Login = request.app.state.login
    return await login.visitor(request)


ApiCaller = Annotated[Caller, Depends(api_caller)]
PageVisitor = Annotated[Caller, Depends(page_visitor)]
