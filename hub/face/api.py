"""The REST routes. Each is: who asks, may they, the floor's verb, what they may see of the answer.

Routes are plain functions where the verb blocks, so FastAPI runs them in threads.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import AfterValidator, BaseModel, Field, JsonValue

from hub.batch import Batch
from hub.broker import Broker
from hub.core import roster
from hub.core.runs import Run, Submission
from hub.core.sizes import Offer
from hub.desk import Desk
from hub.errors import BadInput, NotAllowed, NotFound
from hub.face import pages, stream
from hub.face.caller import Caller
from hub.face.login import ApiCaller, Login, api_caller
from hub.face.stream import Streams
from hub.face.views import ErrorOut, MeOut, RosterOut

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
router = APIRouter(prefix="/api", responses=ERRORS)


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


def _plain(text: str) -> str:
    if not text.isprintable():
        raise ValueError("no control characters, please")
    return text


def _storable(value: JsonValue) -> JsonValue:
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


class SubmitIn(BaseModel, extra="forbid"):
    """A notebook to run."""

    notebook_name: Annotated[Plain, Field(min_length=1, max_length=255)]
    notebook: dict[str, Any] = Field(description="The notebook itself, nbformat 4.")
    parameters: dict[str, Annotated[JsonValue, AfterValidator(_storable)]] = Field(
        default_factory=dict, description="For the cell tagged `parameters`."
    )
    profile: Annotated[Plain, Field(min_length=1, max_length=64)]
    image: Annotated[Plain, Field(max_length=255)] = Field("", description="Default when empty.")
    cwd: Annotated[Plain, Field(max_length=1024)] = Field(
        "", description="Folder below the home to run in; the run's own when empty."
    )
    timeout: int = Field(0, ge=0, le=10**8, description="Seconds; the longest allowed when 0.")
    user: Annotated[Plain, Field(max_length=255)] | None = Field(
        None, description="Whose run it is; operators only."
    )


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


# ---- runs ---------------------------------------------------------------------------------------


@router.post("/runs", status_code=201)
def submit(wanted: SubmitIn, caller: ApiCaller, use: Use) -> Run:
    """Run a notebook: it stands in line for a slice like everybody."""
    people = {x.name for x in use.broker.members()}
    return use.batch.submit(Submission(
        user=_for_whom(wanted, caller, people), name=wanted.notebook_name,
        notebook=wanted.notebook, parameters=wanted.parameters, profile=wanted.profile,
        image=wanted.image, cwd=wanted.cwd, timeout=wanted.timeout,
    ))


@router.get("/runs")
def runs(
    caller: ApiCaller, use: Use,
    user: Annotated[Plain | None, Query(description="One person's; operators only.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[Run]:
    """One's own runs, newest first; an operator's are everybody's."""
    if caller.is_operator:
        return use.batch.list(user=user, limit=limit)
    if user is not None and not caller.owns(user):
        raise NotAllowed("You can see your own runs only.")
    found = use.batch.list(user=caller.name, limit=limit)
    return [r for r in found if caller.owns(r.user)]


@router.get("/runs/{id}")
def run(id: RunId, caller: ApiCaller, use: Use) -> Run:
    """One run."""
    return _own_run(id, caller, use.batch)


@router.get("/runs/{id}/logs", response_model=None, responses=text_answer("text/plain"))
def logs(id: RunId, caller: ApiCaller, use: Use) -> PlainTextResponse:
    """What the run has printed so far, as plain text."""
    found = _own_run(id, caller, use.batch)
    return PlainTextResponse(use.batch.logs(found.id))


@router.delete("/runs/{id}")
def cancel(id: RunId, caller: ApiCaller, use: Use) -> Run:
    """Cancel: out of the line, or interrupted so that it saves what it has. Harmless when ended."""
    found = _own_run(id, caller, use.batch)
    return use.batch.cancel(found.id, _by(caller, found.user))


# ---- live ---------------------------------------------------------------------------------------


@router.get("/runs/{id}/events", response_model=None, responses=text_answer("text/event-stream"))
def run_events(id: RunId, request: Request, caller: ApiCaller, use: Use) -> StreamingResponse:
    """Server-sent events: `run` (a Run) on change, `log` (a JSON string) as printed, `end`."""
    use.streams.check(caller)
    found = _own_run(id, caller, use.batch)
    return stream.answer(
        use.streams.follow(found.id, caller, lambda: use.login.caller(request))
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


def _own_run(id: str, caller: Caller, batch: Batch) -> Run:
    if caller.is_operator:
        return batch.get(id)
    found = batch.get(id, user=caller.name)
    if not caller.owns(found.user):
        # a service may be named like a person
        raise NotFound("There is no run {id}. `madang run list` shows yours.", id=id)
    return found


def _for_whom(wanted: SubmitIn, caller: Caller, people: set[str]) -> str:
    if wanted.user and not caller.sees(wanted.user):
        raise NotAllowed("Only an operator can submit a run for somebody else.")
    if not wanted.user and caller.kind != "user":
        raise BadInput(
            "Say whose run this is: madang run submit --for NAME …", reason="bad-request"
        )
    if wanted.user and people and wanted.user not in people:
        raise BadInput(
            "There is nobody called {name} in the roster.", reason="bad-request", name=wanted.user
        )
    return wanted.user or caller.name


def _by(caller: Caller, owner: str) -> str:
    """Who ended it, as its owner may read it."""
    return caller.name if caller.owns(owner) else "the operator"
