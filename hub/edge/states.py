"""The state in the tables: read as a whole or only what is new, written only where it differs.

Every write that changes the state gives it a number, which the rows that it wrote carry too, and a
random name. Who keeps a state whose name the trail still has, reads the rows with a higher number
and has the newest. A row that was deleted cannot tell, so there the trail begins anew, and who is
behind reads all; likewise for groups and reservations, which change seldom.

Only `hub.edge.store` imports this.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from hub.core.nouns import Lease, Stage, State
from hub.edge import rows, tables
from hub.errors import IllegalStep

_ENDED = frozenset({Stage.RELEASED, Stage.WITHDRAWN})
_TRAIL = 50  # names; a tick comes every two seconds, so a process may look away for a while
# a slice or an owner must be given up in the table before the next one takes it: a unique index
# looks after every row, not at the end
_ORDER = {
    Stage.RELEASED: 0, Stage.WITHDRAWN: 0, Stage.DRAINING: 1, Stage.QUARANTINED: 1,
}


class Version(NamedTuple):
    """Which state the database has: its number, and the names that lead to it, newest first.

    `roster` is the random name of the members.
    """

    number: int
    trail: tuple[str, ...]
    roster: str


class Kept(NamedTuple):
    """A state as it was committed under this version."""

    version: Version
    state: State

    @property
    def name(self) -> str:
        """The state's random name."""
        return self.version.trail[0]


# ---- tables and parts of the state ---------------------------------------------------------------


def _parts(state: State) -> dict[sa.Table, Mapping[Any, Any]]:
    house = state.house
    return {
        tables.slices: state.slices, tables.leases: state.leases, tables.usage: house.usage,
        tables.groups: house.groups, tables.reservations: house.reservations,
    }


def _state(bare: State, parts: Mapping[sa.Table, Any]) -> State:
    house = replace(
        bare.house, usage=parts[tables.usage], groups=parts[tables.groups],
        reservations=parts[tables.reservations],
    )
    return replace(bare, slices=parts[tables.slices], leases=parts[tables.leases], house=house)


_OF: dict[sa.Table, Callable[[Iterable[rows.Row]], dict[Any, Any]]] = {
    tables.slices: rows.slices_of, tables.leases: rows.leases_of, tables.usage: rows.usage_of,
    tables.groups: rows.groups_of, tables.reservations: rows.reservations_of,
}
_ROW: dict[sa.Table, Callable[[Any, Any], dict[str, Any]]] = {
    tables.slices: lambda _, x: rows.slice_row(x), tables.leases: lambda _, x: rows.lease_row(x),
    tables.usage: rows.usage_row, tables.groups: lambda _, x: rows.group_row(x),
    tables.reservations: lambda _, x: rows.reservation_row(x),
}
_TOLD = [x for x in _OF if "changed" in x.c]  # tables whose rows carry a number


# ---- reading -------------------------------------------------------------------------------------

_VERSION = sa.select(tables.version.c.number, tables.version.c.trail, tables.version.c.roster)
_ALL = {x: sa.select(x) for x in _OF}
_ALL[tables.leases] = sa.select(tables.leases).where(
    tables.leases.c.stage.in_([str(x) for x in Stage if x not in _ENDED])
)
_NEW = {x: sa.select(x).where(x.c.changed > sa.bindparam("number")) for x in _TOLD}


def version(c: sa.Connection) -> Version:
    """The version of what this transaction sees."""
    number, trail, roster = c.execute(_VERSION).one()
    return Version(number, tuple(trail.split()), roster)


def load(c: sa.Connection, at: Version, bare: State, *known: Kept | None) -> Kept:
    """The state at version `at`, which `c` sees; from a known one where the trail leads from it.

    `bare`: no slices and leases, but the limits and rules that every state has.
    """
    for old in known:
        if old is not None and old.name == at.trail[0]:
            return old
    for old in known:
        if old is not None and old.name in at.trail:
            return Kept(at, _newer(c, old))
    return Kept(at, _state(bare, {x: _OF[x](c.execute(y)) for x, y in _ALL.items()}))


def _newer(c: sa.Connection, old: Kept) -> State:
    parts = _parts(old.state)
    for table, new in _NEW.items():
        found = _OF[table](c.execute(new, {"number": old.version.number}))
        parts[table] = _with(parts[table], found)
    return _state(old.state, parts)


def _with(before: Mapping[Any, Any], found: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """With what was found, but without leases that have ended."""
    if not found:
        return before
    after = {**before, **found}
    for key, x in found.items():
        if isinstance(x, Lease) and x.stage in _ENDED:
            del after[key]
    return after


# ---- writing -------------------------------------------------------------------------------------


@dataclass
class _Change:
    """How a mapping differs from what it was: what is changed and new, by key, and keys gone."""

    changed: dict[Any, Any] = field(default_factory=dict)
    new: dict[Any, Any] = field(default_factory=dict)
    gone: frozenset[Any] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.changed or self.new or self.gone)


def save(c: sa.Connection, before: State, after: State, number: int) -> tuple[State, bool]:
    """Write where `after` differs, under this number.

    Returns the state as it will be read again (`before` itself where nothing differs), and whether
    the rows tell what is new.

    Raises:
        IllegalStep: it would give a slice twice or an owner two open requests, or a lease has
            vanished.
    """
    was, now = _parts(before), _parts(after)
    changes = {x: found for x in was if (found := _difference(was[x], now[x]))}
    if not changes:
        return before, True
    if tables.leases in changes:
        _check_leases(changes[tables.leases])
    try:
        for table, change in changes.items():
            was[table] = _write(c, table, change, now[table], number)
    except IntegrityError as e:
        raise IllegalStep(f"the store refuses this state: {e.orig}; written: {e.params}") from e
    leads = all(x in _TOLD and not change.gone for x, change in changes.items())
    return _state(before, was), leads


def _difference(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> _Change:
    """Told by identity first: most of a state goes through a step untouched."""
    found = _Change()
    if before is after:
        return found
    for key, x in after.items():
        old = before.get(key)
        if old is None:
            found.new[key] = x
        elif old is not x and old != x:
            found.changed[key] = x
    if len(before) + len(found.new) != len(after):
        found.gone = frozenset(before.keys() - after.keys())
    return found


def _check_leases(change: _Change) -> None:
    """Slices may be forgotten; a lease that is simply not there any more is a fault of ours."""
    if change.gone:
        raise IllegalStep(f"leases vanished from the state: {sorted(change.gone)}")
    in_turn = sorted(change.changed.items(), key=lambda x: _ORDER.get(x[1].stage, 2))
    change.changed = dict(in_turn)


def _write(
    c: sa.Connection, table: sa.Table, change: _Change, after: Mapping[Any, Any], number: int
) -> Mapping[Any, Any]:
    """Write the change; the mapping as it will be read again."""
    keys = [x.name for x in table.primary_key]
    if change.gone:
        c.execute(_DELETE[table], [
            dict(zip(keys, x if isinstance(x, tuple) else (x,), strict=True)) for x in change.gone
        ])
    told = {"changed": number} if table in _TOLD else {}
    row = _ROW[table]
    changed = [row(k, x) | told for k, x in change.changed.items()]
    new = [row(k, x) | told for k, x in change.new.items()]
    if changed:
        names = [f"_{x}" for x in changed[0]]
        c.execute(_UPDATE[table], [dict(zip(names, x.values(), strict=True)) for x in changed])
    if new:
        c.execute(_INSERT[table], new)
    if table is tables.slices:
        # thousands at each look, and only words can be read otherwise than they were written
        changed, new = ([x for x in some if x["blocked"]] for some in (changed, new))
    return _with(after, _OF[table](rows.again(table, x) for x in (*changed, *new)))


def _update(table: sa.Table) -> sa.Update:
    # a column's name cannot be a parameter's name in an UPDATE
    given: dict[str, Any] = {x.name: sa.bindparam(f"_{x.name}") for x in table.c}
    same = [x == given.pop(x.name) for x in table.primary_key]
    return sa.update(table).where(*same).values(given)


_INSERT = {x: sa.insert(x) for x in _OF}
_UPDATE = {x: _update(x) for x in _OF}
_DELETE = {x: sa.delete(x).where(*(k == sa.bindparam(k.name) for k in x.primary_key)) for x in _OF}


# ---- the version ---------------------------------------------------------------------------------


def following(old: Version, planned: Version, *, leads: bool, roster: bool) -> Version:
    """The version after `old`, where `planned` is what others in the same transaction made of it.

    `leads`: from the older states one gets to this one by what is new. `roster`: the members are
    others.
    """
    name = secrets.token_hex(6)
    leads = leads and (planned is old or len(planned.trail) > 1)
    trail = (name, *old.trail[:_TRAIL - 1]) if leads else (name,)
    return Version(old.number + 1, trail, name if roster else planned.roster)


def advance(c: sa.Connection, new: Version) -> None:
    """Write the version."""
    c.execute(_ADVANCE, {
        "number": new.number, "trail": " ".join(new.trail), "roster": new.roster,
    })


def forget(c: sa.Connection) -> None:
    """Nobody's older state leads to this one, nor is anybody's roster this one."""
    old = version(c)
    advance(c, following(old, old, leads=False, roster=True))


_ADVANCE = sa.update(tables.version)
