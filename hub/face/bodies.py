"""What was sent with a request: read and seen to be of the declared form, before FastAPI does.

FastAPI reads and parses a body in the event loop, and only then asks who the caller is. Parsing
holds Python's lock, in a thread as well: it is the number of values that decides for how long, so
that has a limit of its own (48 MiB of `[],[],…` take 20 s and 2 GB, a picture of that size 0.2 s).
"""

from functools import partial
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from hub.errors import Refusal

_SMALL = 64 << 10  # bytes: sooner done than handed to a thread
_MOST = 1_000_000  # values: half a second
AT_ONCE = 2


class Sent(Request):
    """A request whose body is there, and made into what its route declares."""

    def __init__(self, request: Request, raw: bytes, made: object) -> None:
        super().__init__(request.scope, request.receive)
        self._raw = raw
        self._made = made

    async def body(self) -> bytes:
        """As it was sent."""
        return self._raw

    async def json(self) -> Any:
        """What the route declares; FastAPI takes an instance of its form as it is."""
        return self._made


async def read(request: Request, form: TypeAdapter[Any], threads: CapacityLimiter) -> Request:
    """The request with its body read.

    Raises:
        RequestValidationError: it has not that form, or is no JSON.
        Refusal: 413: more values than the service would parse for one person.
    """
    try:
        raw = await request.body()
    except ClientDisconnect as e:
        raise HTTPException(400, "The request ended in the middle.") from e
    if not raw:
        return request
    make = partial(_made, form, raw)
    made = make() if len(raw) <= _SMALL else await to_thread.run_sync(make, limiter=threads)
    return Sent(request, raw, made)


def _made(form: TypeAdapter[Any], raw: bytes) -> object:
    if len(raw) > _SMALL and _values(raw) > _MOST:
        raise Refusal(
            "This has more than {most} values, each number, text and list counted. Clear the "
            "notebook's outputs first, or put large data into a file.",
            reason="too-large", status=413, most=_MOST,
        )
    try:
        return form.validate_json(raw)
    except ValidationError as e:
        found = e.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([x | {"loc": ("body", *x["loc"])} for x in found]) from e


def _values(raw: bytes) -> int:
    """About how many values there are: what stands inside of texts is not counted."""
    bare = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    texts = bare.count(b'"') // 2
    if texts > _MOST:
        return texts
    outside = b"".join(bare.split(b'"')[::2])
    return sum(outside.count(x) for x in (b",", b"[", b"{"))
