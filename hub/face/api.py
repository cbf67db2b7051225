"""The REST routes. Each is: who asks, may they, the floor's verb, what they may see of the answer.

Routes are plain functions where the verb blocks, so FastAPI runs them in threads.
"""

import hashlib
import math
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import AfterValidator, JsonValue, TypeAdapter

from hub.batch import Batch
from hub.broker import Broker
from hub.core import roster
from hub.core.once import Once
from hub.core.runs import Run
from hub.core.sizes import Offer
from hub.desk import Desk
from hub.errors import BadInput, NotAllowed, NotFound
from hub.face import bodies, pages, reasons, stream
from hub.face.caller import Caller
from hub.face.login import ApiCaller, Login, api_caller
from hub.face.runlist import RunList
from hub.face.stream import Streams
from hub.face.views import ErrorOut, ImageOut, MeOut, RosterOut
from hub.schedules import Schedules

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorOut, "description": text}
    for status, text in {
        400: "What was asked cannot be.", 401: "No valid token or session.",
        403: "Not the caller's to do.", 404: "No such thing, or not the caller's.",
        409: "Not as things stand.", 413: "Larger than allowed.",
        422: "The request has not the declared form.", 429: "Too many at once.",
        503: "Something outside does not answer; try again.", 507: "The disk is full.",
    }.items()
}
ZONE = "Madang-Timezone"
_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class HouseRoute(APIRoute):
    """A route that knows who asks before it reads what was sent.

    Its answers name the house's time zone, so that a client says moments in it.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, with what comes before and after."""
        handle, field = super().get_route_handler(), self.body_field
        declared: Any = field.field_info.annotation if field else None
        form = TypeAdapter(declared) if declared else None

        async def handle_here(request: Request) -> Response:
            if request.method in _WITH_BODY:
                await api_caller(request)
            if form:
                request = await bodies.read(request, form, request.app.state.parsing)
            answer = await handle(request)
            answer.headers[ZONE] = parts(request).broker.settings.timezone
            return answer

        return handle_here


router = APIRouter(prefix="/api", responses=ERRORS, route_class=HouseRoute)


def text_answer(kind: str) -> dict[int | str, dict[str, Any]]:
    """A text as the good answer; as `response_class` it would be the errors' type as well."""
    return {200: {"content": {kind: {"schema": {"type": "string"}}}}}


@dataclass(frozen=True)
class Parts:
    """What the routes work with."""

    broker: Broker
    batch: Batch
    desk: Desk
    login: Login
    streams: Streams
    schedules: Schedules
    runs: RunList


def parts(request: Request) -> Parts:
    """FastAPI dependency: the service's parts."""
    found: Parts = request.app.state.parts
    return found


def _language(request: Request) -> str:
    return pages.language_of(request)


Use = Annotated[Parts, Depends(parts)]
Language = Annotated[str, Depends(_language)]
Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9-]{1,64}$", description="An id.")]
RunId = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9-]{1,64}$", description="A run's id, or how it begins.")
]


async def _sent(request: Request) -> bytes:
    return await request.body()


def _once(
    request: Request, caller: ApiCaller, sent: Annotated[bytes, Depends(_sent)],
    key: Annotated[str | None, Header(
        alias="Idempotency-Key", min_length=1, max_length=255, pattern="^[!-~]+$", description=(
            "Any text of your own, a new one for each request. The same request sent again with "
            "the same key, because its answer was lost, makes nothing twice: what was made is "
            "answered, as it is then. A key is kept for at least a day; with another request it "
            "is refused (422)."
        ),
    )] = None,
) -> Once | None:
    if key is None:
        return None
    found = hashlib.sha256(f"{request.method} {request.url.path}\n".encode())
    found.update(sent)
    return Once(f"{caller.kind}:{caller.name}", key, found.hexdigest())


# not `async`: 48 MiB take a moment to digest, and so it is a thread's
Key = Annotated[Once | None, Depends(_once)]


def _plain(text: str) -> str:
    if not text.isprintable():
        raise ValueError("no control characters, please")
    return text


def storable(value: JsonValue) -> JsonValue:
    """Refuse what JSON's grammar allows or Python adds and a database cannot keep."""
    for leaf in _leaves(value):
        if isinstance(leaf, float) and not math.isfinite(leaf):
            raise ValueError("NaN and Infinity are not JSON")
        if isinstance(leaf, str) and "\0" in leaf:
            raise ValueError("no NUL characters, please")
    return value


def _leaves(value: JsonValue) -> Iterator[JsonValue]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value


Plain = Annotated[str, AfterValidator(_plain)]


# ---- looking ------------------------------------------------------------------------------------


@router.get("/me")
def me(caller: ApiCaller) -> MeOut:
    """Who the token or the session belongs to."""
    return MeOut(
        name=caller.name, kind=caller.kind, groups=caller.groups,
        is_operator=caller.is_operator, is_instructor=caller.is_instructor,
        instructs=caller.instructs,
    )


@router.get("/offers", dependencies=[Depends(api_caller)])
def offers(use: Use) -> tuple[Offer, ...]:
    """The sizes that can be asked for, and how many of each are free."""
    return use.broker.offers()


@router.get("/images", dependencies=[Depends(api_caller)])
def images(use: Use) -> tuple[ImageOut, ...]:
    """The images that a server or a run may be started from; the first is the default."""
    return tuple(ImageOut(image=k, title=x) for k, x in use.broker.settings.images.items())


# ---- runs ---------------------------------------------------------------------------------------


@router.get("/runs/{id}")
def run(id: RunId, caller: ApiCaller, use: Use, language: Language) -> Run:
    """One run."""
    return reasons.said(own_run(id, caller, use.batch), language)


@router.get("/runs/{id}/logs", response_model=None, responses=text_answer("text/plain"))
def logs(id: RunId, caller: ApiCaller, use: Use) -> PlainTextResponse:
    """What the run has printed so far, as plain text."""
    found = own_run(id, caller, use.batch)
    return PlainTextResponse(use.batch.logs(found.id))


@router.delete("/runs/{id}")
def cancel(id: RunId, caller: ApiCaller, use: Use, language: Language) -> Run:
    """Cancel: out of the line, or interrupted so that it saves what it has. Harmless when ended."""
    found = own_run(id, caller, use.batch)
    return reasons.said(use.batch.cancel(found.id, by(caller, found.user)), language)


# ---- live ---------------------------------------------------------------------------------------


@router.get("/runs/{id}/events", response_model=None, responses=text_answer("text/event-stream"))
def run_events(
    id: RunId, request: Request, caller: ApiCaller, use: Use, language: Language
) -> StreamingResponse:
    """Server-sent events: `run` (a Run) on change, `log` (a JSON string) as printed, `end`."""
    use.streams.check(caller)
    found = own_run(id, caller, use.batch)
    return stream.answer(
        use.streams.follow(found.id, caller, language, lambda: use.login.caller(request))
    )


@router.get("/events", response_model=None, responses=text_answer("text/event-stream"))
def events(
    request: Request, caller: ApiCaller, use: Use, language: Language
) -> StreamingResponse:
    """Server-sent events: `state` (offers, slices, line, leases, runs) at once and on change."""
    use.streams.check(caller)
    return stream.answer(
        use.streams.live(caller, language, lambda: use.login.caller(request))
    )


# ---- people -------------------------------------------------------------------------------------

_CSV = {"requestBody": {
    "required": True, "content": {"text/csv": {"schema": {"type": "string"}}},
    "description": "Lines of name,group,role.",
}}


async def _text(request: Request) -> str:
    try:
        return (await request.body()).decode("utf-8-sig")  # spreadsheets begin with a byte mark
    except UnicodeDecodeError as e:
        raise BadInput("The roster is not UTF-8 text.", reason="roster") from e


@router.put("/roster", openapi_extra=_CSV)
def put_roster(text: Annotated[str, Depends(_text)], caller: ApiCaller, use: Use) -> RosterOut:
    """Replace the roster; a bad line is refused with its number and nothing is changed."""
    operators_only(caller)
    members = roster.parse(text, "roster")
    use.broker.set_members(members)
    return RosterOut(members=len(members))


# ---- may they -----------------------------------------------------------------------------------


def operators_only(caller: Caller) -> None:
    """Refuse everybody else.

    Raises:
        NotAllowed: no operator, or one whose rights this token does not carry.
    """
    if not caller.is_operator:
        raise withheld(caller) or NotAllowed("Only an operator can do this.")


def withheld(caller: Caller) -> NotAllowed | None:
    """Where the token of a server lacks what its owner may do: says so, and what to take."""
    return NotAllowed(
        "The token of a server may not do this, because every notebook that you open could. Do it "
        "on Madang's page, or put a token of your own (the hub's page Token) into MADANG_TOKEN."
    ) if caller.withheld else None


def own_run(id: str, caller: Caller, batch: Batch) -> Run:
    """A run that the caller may see; another is as if it were not.

    Raises:
        NotFound: no such run, or not the caller's.
    """
    if caller.is_operator:
        return batch.get(id)
    found = batch.get(id, user=caller.name)
    if not caller.owns(found.user):
        # a service may be named like a person
        raise NotFound("There is no run {id}. `madang run list` shows yours.", id=id)
    return found


def by(caller: Caller, owner: str) -> str:
    """Who ended it, as its owner may read it."""
    return caller.name if caller.owns(owner) else "the operator"
