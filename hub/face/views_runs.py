"""What the service is asked and answers about runs, sweeps and schedules: shapes of the JSON."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, JsonValue

from hub.core.runs import MOST_RETRIES, Run, RunStage
from hub.core.schedules import Occurrence, Schedule, Slot
from hub.core.sweeps import Sweep, SweepLine
from hub.errors import BadInput
from hub.face import reasons
from hub.face.api import Plain, storable

Value = Annotated[JsonValue, AfterValidator(storable)]
Names = Annotated[list[Annotated[Plain, Field(min_length=1, max_length=64)]], Field(max_length=20)]
Places = Annotated[list[Annotated[Plain, Field(min_length=1, max_length=500)]], Field(max_length=5)]
Values = Annotated[list[Value], Field(max_length=1000)]
Word = Annotated[Plain, Field(max_length=64)]
_GZIP = b"\x1f\x8b"


class WhatIn(BaseModel, extra="forbid"):
    """What is run, and with what."""

    notebook_name: Annotated[Plain, Field(min_length=1, max_length=255)]
    notebook: dict[str, Any] = Field(description="The notebook itself, nbformat 4.")
    snapshot: str = Field("", description="The notebook's folder: a tar.gz in base64.")
    parameters: dict[str, Value] = Field(
        default_factory=dict, description="For the cell tagged `parameters`."
    )
    profile: Annotated[Plain, Field(min_length=1, max_length=64)]
    image: Annotated[Plain, Field(max_length=255)] = Field("", description="Default when empty.")
    cwd: Annotated[Plain, Field(max_length=1024)] = Field(
        "", description="Folder below the home to run in; the run's own when empty."
    )
    timeout: int = Field(0, ge=0, le=10**8, description="Seconds; the longest allowed when 0.")
    retries: int = Field(0, ge=0, le=MOST_RETRIES, description=(
        "Tries after an end that is the machine's: a lost container or slice, a start that "
        "Docker refused."
    ))
    secrets: Names = Field(default_factory=list, description="Secrets of the operator's, by name.")
    notify: Places = Field(default_factory=list, description=(
        "Where to tell of its end: https://…, mailto:NAME@DOMAIN, ntfy://TOPIC."))
    group: Word = Field(
        "", description="In whose name; the first of the person's groups when empty."
    )
    user: Annotated[Plain, Field(max_length=255)] | None = Field(
        None, description="Whose it is; operators only."
    )


class SubmitIn(WhatIn):
    """A notebook to run."""

    at: Word = Field("", description=(
        "Not before: 2026-11-24T02:00, or 02:00 for the next such time; local in Madang's zone."
    ))
    after: Word = Field("", description="Only after this run of one's own has succeeded.")


class SweepIn(SubmitIn):
    """A notebook to run with every combination of some values."""

    sweep: dict[str, Values] = Field(description="Parameter → its values; at most 1000 points.")


class RerunIn(BaseModel, extra="forbid"):
    """What is to be otherwise than the first time."""

    parameters: dict[str, Value] = Field(default_factory=dict)
    profile: Word = ""
    image: Annotated[Plain, Field(max_length=255)] = ""


class RunNowIn(BaseModel, extra="forbid"):
    """What is to be otherwise this time."""

    parameters: dict[str, Value] = Field(default_factory=dict, description=(
        "In place of the schedule's; one that it sweeps has this value alone."
    ))


class WhenIn(BaseModel, extra="forbid"):
    """When a schedule runs."""

    name: Annotated[Plain, Field(min_length=1, max_length=64)]
    cron: Annotated[Plain, Field(max_length=100, description="minute hour day month weekday")]
    zone: Word = Field("", description="Like Asia/Seoul; Madang's when empty.")
    catch_up: Word = Field("none", description=(
        "Hours within which the latest slot that was missed is run after all: 6h; or none."
    ))
    overlap: Word = Field("skip", description=(
        "Where the run of the slot before has not ended: skip, queue or replace."
    ))
    paused: bool = False


class ScheduleIn(WhenIn, WhatIn):
    """A notebook, and when it is to run."""

    sweep: dict[str, Values] = Field(default_factory=dict, description="As of a sweep.")


class ScheduleChangeIn(BaseModel, extra="forbid"):
    """What to change; what is left out stays."""

    name: Annotated[Plain, Field(min_length=1, max_length=64)] | None = None
    cron: Annotated[Plain, Field(max_length=100)] | None = None
    zone: Word | None = None
    catch_up: Word | None = None
    overlap: Word | None = None
    paused: bool | None = None
    notebook_name: Annotated[Plain, Field(min_length=1, max_length=255)] | None = None
    notebook: dict[str, Any] | None = None
    snapshot: str | None = None
    parameters: dict[str, Value] | None = None
    sweep: dict[str, Values] | None = None
    profile: Annotated[Plain, Field(min_length=1, max_length=64)] | None = None
    image: Annotated[Plain, Field(max_length=255)] | None = None
    cwd: Annotated[Plain, Field(max_length=1024)] | None = None
    timeout: Annotated[int, Field(ge=0, le=10**8)] | None = None
    retries: Annotated[int, Field(ge=0, le=MOST_RETRIES)] | None = None
    notify: Places | None = None
    secrets: Names | None = None
    group: Word | None = None


class PointOut(BaseModel):
    """One run of a sweep."""

    id: str
    stage: RunStage
    parameters: Mapping[str, JsonValue]
    metrics: Mapping[str, JsonValue]


class SweepLineOut(BaseModel):
    """A sweep in a list; `counts`: stage → how many of its runs are in it."""

    id: str
    user: str
    notebook: str
    profile: str
    asked_at: datetime
    count: int
    counts: dict[RunStage, int]


class SweepOut(SweepLineOut):
    """A sweep with its runs, in the order of its points; `names`: in what they differ."""

    names: list[str]
    runs: list[PointOut]


class RerunOut(BaseModel):
    """A run that repeats another, and how it will differ."""

    run: Run
    differs: list[str]


class SlotOut(BaseModel):
    """A slot ahead: as the clock on the wall will show it, and when that is."""

    local: str
    at: datetime


class OccurrenceOut(BaseModel):
    """What became of a slot; `run` or `sweep` is what was made."""

    slot: str
    at: datetime
    outcome: str
    run: str
    sweep: str
    message: str


class ScheduleOut(BaseModel):
    """A schedule; `next`: its next slots, none while it is paused."""

    id: str
    user: str
    name: str
    cron: str
    zone: str
    notebook_name: str
    parameters: Mapping[str, JsonValue]
    sweep: Mapping[str, list[JsonValue]]
    profile: str
    image: str
    cwd: str
    timeout: int
    retries: int
    catch_up: str
    overlap: str
    paused: bool
    notify: list[str]
    secrets: list[str]
    group: str
    source: str
    made_at: datetime
    next: list[SlotOut]
    last: OccurrenceOut | None


class ScheduleWholeOut(ScheduleOut):
    """A schedule with what became of its last slots, newest first."""

    occurrences: list[OccurrenceOut]


# ---- out of and into core's words ---------------------------------------------------------------


def packed(text: str) -> bytes:
    """A snapshot out of its base64.

    Raises:
        BadInput: reason "snapshot": it is none.
    """
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as e:
        raise BadInput("The snapshot is not base64.", reason="snapshot") from e
    if found and not found.startswith(_GZIP):
        raise BadInput("The snapshot is not a tar.gz.", reason="snapshot")
    return found


def sweep_out(found: Sweep) -> SweepOut:
    """A sweep."""
    first = found.runs[0]
    return SweepOut(
        id=found.id, user=first.user, notebook=first.notebook, profile=first.profile,
        asked_at=first.asked_at, count=len(found.runs), counts=found.counts,
        names=list(found.names), runs=[
            PointOut(id=x.id, stage=x.stage, parameters=x.parameters, metrics=x.metrics)
            for x in found.runs
        ],
    )


def line_out(found: SweepLine) -> SweepLineOut:
    """A sweep in a list."""
    return SweepLineOut(
        id=found.id, user=found.user, notebook=found.notebook, profile=found.profile,
        asked_at=found.asked_at, count=sum(found.counts.values()), counts=dict(found.counts),
    )


def schedule_out(
    found: Schedule, ahead: list[Slot], past: list[Occurrence], language: str
) -> ScheduleWholeOut:
    """A schedule; `past` are what became of its slots, newest first."""
    fields = {
        x: getattr(found, x) for x in ScheduleOut.model_fields
        if x not in {"next", "last", "notebook_name", "catch_up", "overlap", "sweep"}
    }
    seen = [occurrence_out(x, language) for x in past]
    return ScheduleWholeOut(
        **fields, notebook_name=found.notebook, overlap=found.overlap.value,
        catch_up=f"{found.catch_up}h" if found.catch_up else "none",
        sweep={k: list(x) for k, x in found.sweep.items()},
        next=[SlotOut(local=x.name, at=x.at) for x in ahead],
        last=seen[0] if seen else None, occurrences=seen,
    )


def occurrence_out(seen: Occurrence, language: str) -> OccurrenceOut:
    """What became of a slot."""
    return OccurrenceOut(
        slot=seen.slot, at=seen.at, outcome=seen.outcome.value, run=seen.run, sweep=seen.sweep,
        message=reasons.told(seen.message, language),
    )
