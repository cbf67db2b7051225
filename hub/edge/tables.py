"""The tables behind `hub.edge.store`, which alone imports this; `rows` makes dataclasses of them.

`leases` holds requests too: a lease is a request that has a slice. The schema itself is made by
`migrations/`; a test compares the two on both databases. A column `changed` has the number of the
write that made or changed the row last, so that who knows an older state reads what is new only.
"""

# ruff: noqa: ARG002, D102 - TypeDecorator sets the names and the meaning of its methods

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnClause,
    Date,
    DateTime,
    Dialect,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    literal_column,
)
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """An aware moment, kept in UTC. SQLite drops the zone, so it is put back when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a moment without a time zone: {value}")
        return value and value.astimezone(UTC)

    def kept(self, value: datetime | None) -> datetime | None:
        """The value as it will be read again."""
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
        return "[]" if value == [] else None if value is None else json.dumps(value)

    def kept(self, value: Any) -> Any:
        """The value as it will be read again."""
        return json.loads(json.dumps(value)) if value else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        # nearly every slice has no process and most requests no options: parsing "[]" 7,000 times
        # is half of a load
        if value == "[]":
            return []
        if value == "{}":
            return {}
        return None if value is None else json.loads(value)


class Words(TypeDecorator[str]):
    """Text that a person or a program wrote: NUL and broken surrogates would fail a whole write."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return self.kept(value)

    def kept(self, value: str | None) -> str | None:
        """The value as it will be read again."""
        return value and value.encode(errors="replace").decode().replace("\0", "\ufffd")


def _changed() -> Column[int]:
    return Column("changed", BigInteger, nullable=False, server_default="0")


OURS = (Moment, Json, Words)

metadata = MetaData()

# one row. `trail`: random names of the newest states, the newest first: from each of them what has
# changed since leads to the newest. A database that was put back from a copy has other names.
# `roster`: a random name of the members
version = Table(
    "version", metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("trail", Text, nullable=False),
    Column("roster", Text, nullable=False),
)

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
    Column("blocked", Words, nullable=False, server_default=""),
    _changed(),
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
    Column("promised", Moment),
    Column("rate", Double, nullable=False, server_default="0"),
    Column("reservation", Text, nullable=False, server_default=""),
    Column("active_at", Moment),
    Column("heard_at", Moment),
    Column("notice_why", Text),
    Column("notice_at", Moment),
    Column("leave_by", Moment),
    Column("why", Text),
    Column("eta_earliest", Moment),
    Column("eta_latest", Moment),
    Column("member_of", Json, nullable=False, server_default="[]"),
    Column("charged", Text, nullable=False, server_default=""),
    Column("needs", Double),
    _changed(),
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
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("group", Text, nullable=False, server_default=""),
    Column("lined_at", Moment),
    Column("sweep", Text, nullable=False, server_default=""),
    Column("schedule", Text, nullable=False, server_default=""),
    Column("slot", Text, nullable=False, server_default=""),
    Column("not_before", Moment),
    Column("after", Text, nullable=False, server_default=""),
    Column("retries", Integer, nullable=False, server_default="0"),
    Column("retried", Integer, nullable=False, server_default="0"),
    Column("metrics", Json, nullable=False, server_default="{}"),
    Column("steps_done", Integer, nullable=False, server_default="0"),
    Column("steps", Integer, nullable=False, server_default="0"),
    Column("digest", Text, nullable=False, server_default=""),
    Column("memory_peak_mib", Integer),
    Column("gpu_memory_peak_mib", Integer),
    Column("error", Json),
    Column("secrets", Json, nullable=False, server_default="[]"),
    Column("notify", Json, nullable=False, server_default="[]"),
)

# slots are local times without an offset, so they are text; `at` is the moment that one means
schedules = Table(
    "schedules", metadata,
    Column("id", Text, primary_key=True),
    Column("user", Text, nullable=False),
    Column("name", Words, nullable=False),
    Column("cron", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("notebook", Words, nullable=False),
    Column("profile", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("seen", Moment, nullable=False),
    Column("next_at", Moment),
    Column("parameters", Json, nullable=False),
    Column("sweep", Json, nullable=False),
    Column("image", Text, nullable=False),
    Column("cwd", Words, nullable=False),
    Column("timeout", Integer, nullable=False),
    Column("retries", Integer, nullable=False),
    Column("catch_up", Integer, nullable=False),
    Column("overlap", Text, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("notify", Json, nullable=False),
    Column("secrets", Json, nullable=False),
    Column("group", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("input", Text, nullable=False, server_default=""),
)

# the key is what keeps a slot from being run twice, whoever is killed in between
occurrences = Table(
    "occurrences", metadata,
    Column("schedule", Text, primary_key=True),
    Column("slot", Text, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("sweep", Text, nullable=False),
    Column("message", Words, nullable=False),
)

# what was made of a submission that had a key, by who sent it
taken = Table(
    "taken", metadata,
    Column("by", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("run", Text, nullable=False),
    Column("sweep", Text, nullable=False),
)

members = Table(
    "members", metadata,
    Column("name", Text, primary_key=True),
    Column("group", Words, primary_key=True),
    Column("role", Text, nullable=False),
)

groups = Table(
    "groups", metadata,
    Column("name", Words, primary_key=True),
    Column("weight", Double, nullable=False),
    Column("quota", Double),
    Column("user_quota", Double),
    Column("ends", Date),
)

usage = Table(
    "usage", metadata,
    Column("group", Words, primary_key=True),
    Column("user", Text, primary_key=True),
    Column("decayed", Double, nullable=False),
    Column("at", Moment, nullable=False),
    Column("week", Double, nullable=False),
    Column("week_of", Moment),
    _changed(),
)

# hours and days are local in `zone`, so they are kept as text: no database may move them
reservations = Table(
    "reservations", metadata,
    Column("id", Text, primary_key=True),
    Column("group", Words, nullable=False),
    Column("profile", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("zone", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("days", Json),
    Column("start", Text),
    Column("end", Text),
    Column("first", Text),
    Column("last", Text),
    Column("begins", Text),
    Column("ends", Text),
    Column("made_by", Words, nullable=False),
    Column("made_at", Moment),
    Column("note", Words, nullable=False),
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
Index("leases_by_change", leases.c.changed)
_OVER: ColumnClause[bool] = literal_column("draining_at IS NOT NULL")
Index("leases_by_end", leases.c.draining_at, sqlite_where=_OVER, postgresql_where=_OVER)
Index("runs_by_stage", runs.c.stage)
Index("runs_by_age", runs.c.asked_at)
Index("runs_by_owner", runs.c.user, runs.c.asked_at)
_ENDED: ColumnClause[bool] = literal_column("ended_at IS NOT NULL")
Index("runs_by_end", runs.c.ended_at, sqlite_where=_ENDED, postgresql_where=_ENDED)
_SWEPT: ColumnClause[bool] = literal_column("sweep <> ''")
_SCHEDULED: ColumnClause[bool] = literal_column("schedule <> ''")
Index("runs_by_sweep", runs.c.sweep, sqlite_where=_SWEPT, postgresql_where=_SWEPT)
Index("runs_by_schedule", runs.c.schedule, sqlite_where=_SCHEDULED, postgresql_where=_SCHEDULED)
Index("schedules_by_time", schedules.c.next_at)
