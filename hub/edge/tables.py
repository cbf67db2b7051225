"""The tables behind `hub.edge.store`, which alone imports this; rows to dataclasses and back.

`leases` holds requests too: a lease is a request that has a slice. The schema itself is made by
`migrations/`; a test compares the two on both databases.
"""

# ruff: noqa: ARG002, D102 - TypeDecorator sets the names and the meaning of its methods

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ColumnClause,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    RowMapping,
    Table,
    Text,
    literal_column,
)
from sqlalchemy.types import TypeDecorator

from hub.core.lease import Kind, Lease, Request, Stage
from hub.core.mig import Slice, SliceKey
from hub.core.runs import Run, RunStage


class Moment(TypeDecorator[datetime]):
    """An aware moment, kept in UTC. SQLite drops the zone, so it is put back when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a moment without a time zone: {value}")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is UTC:
            return value
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """A JSON value as text.

    Not PostgreSQL's own type: that refuses NaN and infinity, honest parameters of an experiment.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        # nearly every slice has no process and most requests no options: parsing "[]" 7,000 times
        # is half of a load
        if value == "[]":
            return []
        return None if value is None else json.loads(value)


class Words(TypeDecorator[str]):
    """Text that a person or a program wrote: NUL and broken surrogates would fail a whole write."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value and value.encode(errors="replace").decode().replace("\0", "\ufffd")


metadata = MetaData()

slices = Table(
    "slices", metadata,
    Column("node", Text, primary_key=True),
    Column("gpu", Text, primary_key=True),
    Column("profile", Text, primary_key=True),
    Column("start", Integer, primary_key=True, autoincrement=False),
    Column("uuid", Text, nullable=False),
    Column("gpu_name", Text, nullable=False),
    Column("gpu_index", Integer, nullable=False),
    Column("compute", Integer, nullable=False),
    Column("memory", Integer, nullable=False),
    Column("memory_mib", Integer, nullable=False),
    Column("used_mib", Integer),
    Column("processes", Json),
    Column("present", Boolean, nullable=False),
)

leases = Table(
    "leases", metadata,
    Column("id", Text, primary_key=True),
    Column("user", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Words, nullable=False),
    Column("profile", Text, nullable=False),
    Column("image", Text, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("group", Text, nullable=False),
    Column("options", Json, nullable=False),
    Column("stage", Text, nullable=False),
    Column("slice_node", Text),
    Column("slice_gpu", Text),
    Column("slice_profile", Text),
    Column("slice_start", Integer),
    Column("granted_at", Moment),
    Column("started_at", Moment),
    Column("draining_at", Moment),
    Column("ended_at", Moment),
    Column("until", Moment),
    Column("cause", Words, nullable=False),
)

runs = Table(
    "runs", metadata,
    Column("id", Text, primary_key=True),
    Column("user", Text, nullable=False),
    Column("notebook", Words, nullable=False),
    Column("profile", Text, nullable=False),
    Column("image", Text, nullable=False),
    Column("parameters", Json, nullable=False),
    Column("stage", Text, nullable=False),
    Column("asked_at", Moment, nullable=False),
    Column("folder", Words, nullable=False),
    Column("cwd", Words, nullable=False),
    Column("timeout", Integer, nullable=False),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("exit_code", Integer),
    Column("cells_done", Integer, nullable=False),
    Column("cells", Integer, nullable=False),
    Column("message", Words, nullable=False),
    Column("slice", Text, nullable=False),
    Column("commit", Words, nullable=False),
    Column("seed", Json),
)

members = Table(
    "members", metadata,
    Column("name", Text, primary_key=True),
    Column("group", Words, primary_key=True),
    Column("role", Text, nullable=False),
)

_HOLDING: ColumnClause[bool] = literal_column(
    "stage IN ('granted', 'running', 'draining', 'quarantined')"
)
_OPEN: ColumnClause[bool] = literal_column("stage IN ('waiting', 'granted', 'running')")
# the belt: what core.lease never lets happen, no fault of ours can write either
Index(
    "one_holder_per_slice",
    leases.c.slice_node, leases.c.slice_gpu, leases.c.slice_profile, leases.c.slice_start,
    unique=True, sqlite_where=_HOLDING, postgresql_where=_HOLDING,
)
Index(
    "one_open_per_owner", leases.c.user, leases.c.kind, leases.c.name,
    unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN,
)
Index("leases_by_stage", leases.c.stage)
Index("leases_by_age", leases.c.asked_at)
Index("runs_by_stage", runs.c.stage)
Index("runs_by_age", runs.c.asked_at)


def slice_row(found: Slice) -> dict[str, Any]:
    """What is written of a slice."""
    key = found.key
    return {
        "node": key.node, "gpu": key.gpu, "profile": key.profile, "start": key.start,
        "uuid": found.uuid, "gpu_name": found.gpu_name, "gpu_index": found.gpu_index,
        "compute": found.compute, "memory": found.memory, "memory_mib": found.memory_mib,
        "used_mib": found.used_mib, "present": found.present,
        "processes": None if found.processes is None else list(found.processes),
    }


def slice_of(row: Sequence[Any]) -> Slice:
    """A row of `slices`, in the order of its columns (names cost a third more on 7,000 rows)."""
    node, gpu, profile, start, uuid, name, index, compute, memory, mib, used, pids, present = row
    return Slice(
        SliceKey(node, gpu, profile, start), uuid, name, index, compute, memory, mib, used,
        None if pids is None else tuple(pids), present,
    )


def lease_row(lease: Lease) -> dict[str, Any]:
    """What is written of a lease."""
    asked, key = lease.request, lease.slice
    return {
        "id": asked.id, "user": asked.user, "kind": str(asked.kind), "name": asked.name,
        "profile": asked.profile, "image": asked.image, "asked_at": asked.asked_at,
        "group": asked.group, "options": dict(asked.options), "stage": str(lease.stage),
        "slice_node": key and key.node, "slice_gpu": key and key.gpu,
        "slice_profile": key and key.profile, "slice_start": key and key.start,
        "granted_at": lease.granted_at, "started_at": lease.started_at,
        "draining_at": lease.draining_at, "ended_at": lease.ended_at, "until": lease.until,
        "cause": lease.cause,
    }


def lease_of(at: RowMapping) -> Lease:
    """A row of `leases`."""
    key = None if at["slice_gpu"] is None else SliceKey(
        at["slice_node"], at["slice_gpu"], at["slice_profile"], at["slice_start"]
    )
    request = Request(
        at["id"], at["user"], Kind(at["kind"]), at["name"], at["profile"], at["image"],
        at["asked_at"], at["group"], at["options"],
    )
    return Lease(
        request, Stage(at["stage"]), key, at["granted_at"], at["started_at"], at["draining_at"],
        at["ended_at"], at["until"], at["cause"],
    )


def run_row(run: Run) -> dict[str, Any]:
    """What is written of a run; its fields are the columns."""
    row = {c.name: getattr(run, c.name) for c in runs.columns}
    return row | {"stage": str(run.stage), "parameters": dict(run.parameters)}


def run_of(row: RowMapping) -> Run:
    """A row of `runs`."""
    return Run(**{**row, "stage": RunStage(row["stage"])})
