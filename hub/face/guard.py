"""What stands before every route: a limit on what may be sent, and headers on what is answered."""

from collections.abc import Mapping
from types import MappingProxyType

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# no inline script or style anywhere: everything dynamic is set by our own file through the DOM
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_PARAMETERS = 1 << 20  # room for what stands around the notebook in the same body


class Guard:
    """ASGI middleware.

    Args:
        app: what comes after it.
        notebook_mib: largest notebook that can be sent, MiB.
        larger: how an address begins below which more can be sent → MiB.
    """

    def __init__(
        self, app: ASGIApp, notebook_mib: int, larger: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        self._app = app
        self._most = _bytes(notebook_mib)
        self._larger = {k: _bytes(x) for k, x in larger.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._app(scope, self._limited(scope, receive), _with_headers(send))

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """`receive`, which refuses at the first byte over the limit: no more is ever held."""
        path = scope["path"]
        most = next((x for k, x in self._larger.items() if path.startswith(k)), self._most)
        said = Headers(scope=scope).get("content-length", "0")
        announced = int(said) if said.isdecimal() else 0
        got = 0

        async def limited() -> Message:
            nonlocal got
            if announced > most:
                raise too_large(most)
            message = await receive()
            got += len(message.get("body", b""))
            if got > most:
                raise too_large(most)
            return message

        return limited


def _bytes(mib: int) -> int:
    return (mib << 20) + _PARAMETERS


def too_large(most: int) -> HTTPException:
    """413, with the limit in words."""
    return HTTPException(
        413, f"This is too large: at most {most >> 20} MiB. Clear the notebook's outputs first.",
        # what has not been read must not be taken for the next request
        headers={"Connection": "close"},
    )


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending
