"""Rows of `hub.edge.tables` to core's dataclasses and back. Only `hub.edge.store` imports this.

Rows are read in the order of their columns: names cost a third more on 7,000 rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import RowMapping, Table

from hub.core.mig import Slice, SliceKey
from hub.core.nouns import Kind, Lease, Notice, Request, Stage, Why
from hub.core.once import Once, Taken
from hub.core.rules import Group, Reservation, Span, Usage, Weekly
from hub.core.runs import Run, RunStage
from hub.core.schedules import Occurrence, Outcome, Overlap, Schedule
from hub.edge import tables

Row = Sequence[Any]
Who = tuple[str, str]
# an enum's own look-up takes three times as long
_KINDS = {str(x): x for x in Kind}
_STAGES = {str(x): x for x in Stage}


def slice_row(found: Slice) -> dict[str, Any]:
    """What is written of a slice."""
    key = found.key
    return {
        "node": key.node, "gpu": key.gpu, "profile": key.profile, "start": key.start,
        "uuid": found.uuid, "gpu_name": found.gpu_name, "gpu_index": found.gpu_index,
        "compute": found.compute, "memory": found.memory, "memory_mib": found.memory_mib,
        "used_mib": found.used_mib,
        "processes": None if found.processes is None else list(found.processes),
        "present": found.present, "blocked": found.blocked,
    }


def slice_of(row: Row) -> Slice:
    """A row of `slices`."""
    (
        node, gpu, profile, start, uuid, name, index, compute, memory, mib, used, pids, present,
        blocked, _,
    ) = row
    return Slice(
        SliceKey(node, gpu, profile, start), uuid, name, index, compute, memory, mib, used,
        None if pids is None else tuple(pids), present, blocked,
    )


def lease_row(lease: Lease) -> dict[str, Any]:
    """What is written of a lease."""
    asked, key, notice, eta = lease.request, lease.slice, lease.notice, lease.eta
    return {
        "id": asked.id, "user": asked.user, "kind": str(asked.kind), "name": asked.name,
        "profile": asked.profile, "image": asked.image, "asked_at": asked.asked_at,
        "group": asked.group, "options": dict(asked.options), "stage": str(lease.stage),
        "slice_node": key and key.node, "slice_gpu": key and key.gpu,
        "slice_profile": key and key.profile, "slice_start": key and key.start,
        "granted_at": lease.granted_at, "started_at": lease.started_at,
        "draining_at": lease.draining_at, "ended_at": lease.ended_at, "until": lease.until,
        "cause": lease.cause, "promised": lease.promised, "rate": float(lease.rate),
        "reservation": lease.reservation, "active_at": lease.active_at,
        "heard_at": lease.heard_at, "notice_why": notice and str(notice.why),
        "notice_at": notice and notice.at, "leave_by": notice and notice.leave_by,
        "why": lease.why and str(lease.why), "eta_earliest": eta and eta[0],
        "eta_latest": eta and eta[1], "member_of": list(asked.member_of),
        "charged": lease.charged, "needs": asked.needs and asked.needs.total_seconds(),
    }


def lease_of(row: Row) -> Lease:
    """A row of `leases`."""
    (
        id, user, kind, name, profile, image, asked_at, group, options, stage, node, gpu, size,
        start, granted_at, started_at, draining_at, ended_at, until, cause, promised, rate,
        reservation, active_at, heard_at, notice_why, notice_at, leave_by, why, earliest, latest,
        member_of, charged, needs, _,
    ) = row
    return Lease(
        Request(
            id, user, _KINDS[kind], name, profile, image, asked_at, group, options,
            tuple(member_of), needs and timedelta(seconds=needs),
        ),
        _STAGES[stage], None if gpu is None else SliceKey(node, gpu, size, start), granted_at,
        started_at, draining_at, ended_at, until, cause, promised, rate, reservation, active_at,
        heard_at, Notice(Why(notice_why), notice_at, leave_by) if notice_why else None,
        Why(why) if why else None, (earliest, latest) if earliest else None, charged,
    )


def group_row(group: Group) -> dict[str, Any]:
    """What is written of a group; its fields are the columns."""
    return {c.name: getattr(group, c.name) for c in tables.groups.columns}


def usage_row(who: Who, used: Usage) -> dict[str, Any]:
    """What is written of somebody's use in a group's name."""
    return {
        "group": who[0], "user": who[1], "decayed": float(used.decayed), "at": used.at,
        "week": float(used.week), "week_of": used.week_of,
    }


def reservation_row(made: Reservation) -> dict[str, Any]:
    """What is written of a reservation.

    Raises:
        ValueError: a span whose moments have a zone; the reservation's own counts.
    """
    when: Any = made.when
    row = {
        "id": made.id, "group": made.group, "profile": made.profile, "count": made.count,
        "zone": made.zone, "kind": type(when).__name__.lower(),
        **dict.fromkeys(("days", "start", "end", "first", "last", "begins", "ends")),
        "made_by": made.made_by, "made_at": made.made_at, "note": made.note,
    }
    if isinstance(when, Span):
        if when.begins.tzinfo or when.ends.tzinfo:
            raise ValueError(f"a span is local time, without a zone: {when}")
        return row | {"begins": when.begins.isoformat(), "ends": when.ends.isoformat()}
    return row | {
        "days": list(when.days), "start": when.start.isoformat(), "end": when.end.isoformat(),
        "first": when.first.isoformat(), "last": when.last and when.last.isoformat(),
    }


def reservation_of(row: Row) -> Reservation:
    """A row of `reservations`."""
    (
        id, group, profile, count, zone, kind, days, start, end, first, last, begins, ends,
        made_by, made_at, note,
    ) = row
    when: Weekly | Span
    if kind == "span":
        when = Span(datetime.fromisoformat(begins), datetime.fromisoformat(ends))
    else:
        when = Weekly(
            tuple(days), time.fromisoformat(start), time.fromisoformat(end),
            date.fromisoformat(first), date.fromisoformat(last) if last else None,
        )
    return Reservation(id, group, profile, count, when, zone, made_by, made_at, note)


def run_row(run: Run) -> dict[str, Any]:
    """What is written of a run; its fields are the columns."""
    row = {x: getattr(run, x) for x in _RUN}
    return row | {
        "stage": str(run.stage), "parameters": dict(run.parameters), "metrics": dict(run.metrics),
        "error": run.error and dict(run.error), "secrets": list(run.secrets),
        "notify": list(run.notify),
    }


def run_of(row: Row) -> Run:
    """A row of `runs`; its columns are the fields, in their order."""
    values = list(row)
    values[_STAGE] = _RUN_STAGES[values[_STAGE]]
    values[-2:] = map(tuple, values[-2:])  # secrets, notify
    return Run(*values)


_RUN = [c.name for c in tables.runs.columns]
_STAGE = _RUN.index("stage")
_RUN_STAGES = {str(x): x for x in RunStage}


def schedule_row(made: Schedule) -> dict[str, Any]:
    """What is written of a schedule; its fields are the columns."""
    row = {c.name: getattr(made, c.name) for c in tables.schedules.columns}
    return row | {
        "parameters": dict(made.parameters), "overlap": str(made.overlap),
        "sweep": {k: list(x) for k, x in made.sweep.items()},
        "notify": list(made.notify), "secrets": list(made.secrets),
    }


def schedule_of(row: RowMapping) -> Schedule:
    """A row of `schedules`."""
    return Schedule(**{
        **row, "overlap": Overlap(row["overlap"]), "notify": tuple(row["notify"]),
        "secrets": tuple(row["secrets"]),
    })


def occurrence_row(seen: Occurrence) -> dict[str, Any]:
    """What is written of an occurrence; its fields are the columns."""
    row = {c.name: getattr(seen, c.name) for c in tables.occurrences.columns}
    return row | {"outcome": str(seen.outcome)}


def occurrence_of(row: RowMapping) -> Occurrence:
    """A row of `occurrences`."""
    return Occurrence(**{**row, "outcome": Outcome(row["outcome"])})


def taken_row(made: Taken) -> dict[str, Any]:
    """What is written of a submission that had a key."""
    once = made.once
    return {
        "by": once.by, "key": once.key, "digest": once.digest, "at": made.at, "run": made.run,
        "sweep": made.sweep,
    }


def taken_of(row: Row) -> Taken:
    """A row of `taken`."""
    by, key, digest, at, run, sweep = row
    return Taken(Once(by, key, digest), at, run, sweep)


# ---- the parts of the state, as it has them ----------------------------------------------------


def slices_of(found: Iterable[Row]) -> dict[SliceKey, Slice]:
    """Rows of `slices`."""
    return {x.key: x for x in map(slice_of, found)}


def leases_of(found: Iterable[Row]) -> dict[str, Lease]:
    """Rows of `leases`."""
    return {x.id: x for x in map(lease_of, found)}


def usage_of(found: Iterable[Row]) -> dict[Who, Usage]:
    """Rows of `usage`, by (group, user)."""
    return {
        (group, user): Usage(decayed, at, week, week_of)
        for group, user, decayed, at, week, week_of, _ in found
    }


def groups_of(found: Iterable[Row]) -> dict[str, Group]:
    """Rows of `groups`."""
    return {x.name: x for x in (Group(*row) for row in found)}


def reservations_of(found: Iterable[Row]) -> dict[str, Reservation]:
    """Rows of `reservations`."""
    return {x.id: x for x in map(reservation_of, found)}


def again(table: Table, row: Mapping[str, Any]) -> list[Any]:
    """A row that is written, as it will be read: in the order of the columns, in their form."""
    return [
        row.get(name) if type is None else type.kept(row[name]) for name, type in _FORMS[table]
    ]


_FORMS = {
    table: [(c.name, c.type if isinstance(c.type, tables.OURS) else None) for c in table.columns]
    for table in tables.metadata.sorted_tables
}
