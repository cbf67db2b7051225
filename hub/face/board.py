"""What the board shows of one look at the state: put into JSON once for all who may see the same.

Two hundred people watch. What they see differs in little: whose names they know, what is their
own, which language they read. So each row is made once for each of these, and then put together.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from pydantic import BaseModel, TypeAdapter

from hub.core import groups
from hub.core.hours import DAY, WEEK, next_window, windows
from hub.core.lease import Lease
from hub.core.roster import Member
from hub.core.rules import House, Reservation, Window
from hub.core.runs import Run
from hub.core.share import week
from hub.core.sizes import Offer, offers
from hub.face import reasons
from hub.face.caller import Caller
from hub.face.views_desk import (
    MineOut,
    ReservationOut,
    WindowOut,
    mine_out,
    reservation_out,
    window_out,
)
from hub.face.views_line import (
    LeaseOut,
    LineOut,
    Scene,
    SliceOut,
    lease_of,
    line_of,
    slices_of,
)

_WEEKS = 2  # of reserved hours: this one and the next
_OFFERS = TypeAdapter(tuple[Offer, ...])
_RUN = TypeAdapter(Run)


class WeekOut(BaseModel):
    """The week of the quotas."""

    begins: datetime
    ends: datetime


class LiveOut(BaseModel, extra="forbid"):
    """All that the board shows. `now` is the server's time when it was sent.

    `leases` that one may know; `usage` one's own; `windows`: reserved hours of this week and the
    next.
    """

    now: datetime
    week: WeekOut
    offers: tuple[Offer, ...]
    slices: list[SliceOut]
    line: list[LineOut]
    leases: list[LeaseOut]
    runs: list[Run]
    usage: MineOut | None
    reservations: list[ReservationOut]
    windows: list[WindowOut]


@dataclass(frozen=True)
class Seen:
    """One look at what the board shows: all open runs, and the newest of each who watches.

    `newest` is by user; under None stand everybody's, for operators. Two are equal where nothing
    is news; `at` is when time was last looked at.
    """

    scene: Scene
    open_runs: tuple[Run, ...]
    newest: Mapping[str | None, tuple[Run, ...]]
    members: tuple[Member, ...]
    at: datetime

    @cached_property
    def board(self) -> "Board":
        """It, put into words as it is asked for."""
        return Board(self)


@dataclass(frozen=True)
class _Reader(Caller):
    """Stands for all who know as much: of everybody or nobody, as if each row were theirs or not.

    Whoever asks is looked up when the rows are put together.
    """

    all_known: bool = False
    all_own: bool = False

    def owns(self, user: str) -> bool:  # noqa: ARG002 - the same for all
        return self.all_own

    def knows(self, user: str) -> bool:  # noqa: ARG002
        return self.all_known

    def leads(self, group: str) -> bool:  # noqa: ARG002
        return self.all_known


def _reader(caller: Caller, *, known: bool, own: bool = False) -> _Reader:
    return _Reader(
        name="", is_operator=caller.is_operator, is_instructor=caller.is_instructor,
        all_known=known, all_own=own,
    )


@dataclass
class Board:
    """One look, for everybody who asks. Not for many threads at once."""

    seen: Seen
    _rows: dict[object, tuple[str, ...]] = field(default_factory=dict)

    def for_caller(self, caller: Caller, language: str) -> str:
        """What this caller sees, as the inside of a JSON object, without `now`."""
        parts = {
            "week": self._common["week"],
            "offers": self._common["offers"],
            "slices": self._slices(caller),
            "line": self._line(caller, language),
            "leases": _list(
                self._lease(self._leases[i], caller, language)
                for i in self._known(caller, self._holding, len(self._leases))
            ),
            "runs": _list(self._runs(caller, language)),
            "usage": self._usage(caller),
            "reservations": _list(self._reservations(caller)),
            "windows": self._common["windows"],
        }
        return ",".join(f'"{k}":{v}' for k, v in parts.items())

    # ---- rows ------------------------------------------------------------------------------

    def _slices(self, caller: Caller) -> str:
        def made(*, known: bool) -> tuple[str, ...]:
            # an operator's stand-in knows everybody: `knows` is asked, not the role
            return self._once(
                ("slices", caller.is_operator, caller.is_instructor, known),
                lambda: slices_of(self.seen.scene, _reader(caller, known=known)),
            )

        known = self._known(caller, self._holders, len(self._rows_of_slices))
        return self._put(made(known=False), {i: made(known=True)[i] for i in known})

    def _line(self, caller: Caller, language: str) -> str:
        def made(*, known: bool, own: bool = False) -> tuple[str, ...]:
            return self._once(
                ("line", known, own, language),
                lambda: line_of(
                    self.seen.scene, _reader(_NOBODY, known=known, own=own), language
                ),
            )

        known = self._known(caller, self._waiting, len(self._rows_of_line))
        return self._put(made(known=False), {
            i: made(known=True, own=caller.owns(self._rows_of_line[i].user or ""))[i]
            for i in known
        })

    def _known(
        self, caller: Caller, by_user: Mapping[str, list[int]], count: int
    ) -> Iterable[int]:
        """Which of `count` rows belong to people that the caller may know of, in order."""
        if caller.is_operator:
            return range(count)
        # looked up by name: asking for each row would be most of the work
        people = {caller.name, *caller.teaches}
        return sorted(i for x in people if caller.knows(x) for i in by_user.get(x, ()))

    def _put(self, rows: tuple[str, ...], others: Mapping[int, str]) -> str:
        """The rows as a list, some of them replaced."""
        if not others:
            return self._raw(("list", id(rows)), lambda: _list(rows))
        return _list(others.get(i, x) for i, x in enumerate(rows))

    def _lease(self, lease: Lease, caller: Caller, language: str) -> str:
        own = caller.owns(lease.request.user)
        reader = _reader(_NOBODY, known=True, own=own)
        return self._once(
            ("lease", lease.id, own, language),
            lambda: [lease_of(self.seen.scene, lease, reader, language)],
        )[0]

    def _runs(self, caller: Caller, language: str) -> Iterable[str]:
        newest = self.seen.newest.get(whose(caller), ())
        each = {r.id: r for r in (*self.seen.open_runs, *newest) if caller.sees(r.user)}
        shown = sorted(each.values(), key=lambda r: (r.asked_at, r.id), reverse=True)
        return [self._run(x, language) for x in shown]

    def _run(self, run: Run, language: str) -> str:
        return self._raw(
            ("run", run.id, language),
            lambda: _RUN.dump_json(reasons.said(run, language)).decode(),
        )

    def _reservations(self, caller: Caller) -> Iterable[str]:
        def made(leads: bool) -> tuple[str, ...]:  # noqa: FBT001
            reader = _reader(_NOBODY, known=leads)
            return self._once(("reservations", leads), lambda: [
                reservation_out(x, w, reader) for x, w in self._booked
            ])

        return [made(caller.leads(x.group))[i] for i, (x, _) in enumerate(self._booked)]

    def _usage(self, caller: Caller) -> str:
        if caller.kind != "user":
            return "null"

        def made() -> str:
            own = groups.own_facts(
                self.seen.scene.state, self.seen.members, caller.name, self.seen.at,
                self.seen.scene.used,
            )
            return mine_out(own, self._house.rules, self.seen.at).model_dump_json()

        return self._raw(("usage", caller.name), made)

    # ---- what is looked up once ------------------------------------------------------------

    def _once(self, key: object, make: Callable[[], Iterable[BaseModel]]) -> tuple[str, ...]:
        if key not in self._rows:
            self._rows[key] = tuple(x.model_dump_json() for x in make())
        return self._rows[key]

    def _raw(self, key: object, make: Callable[[], str]) -> str:
        if key not in self._rows:
            self._rows[key] = (make(),)
        return self._rows[key][0]

    @property
    def _house(self) -> House:
        return self.seen.scene.state.house

    @cached_property
    def _rows_of_slices(self) -> list[SliceOut]:
        return slices_of(self.seen.scene, _reader(_NOBODY, known=True))

    @cached_property
    def _rows_of_line(self) -> list[LineOut]:
        return line_of(self.seen.scene, _reader(_NOBODY, known=True), "en")

    @cached_property
    def _holders(self) -> Mapping[str, list[int]]:
        """User → which of the slices shown they hold."""
        return _by_user((x.user, i) for i, x in enumerate(self._rows_of_slices))

    @cached_property
    def _waiting(self) -> Mapping[str, list[int]]:
        """User → where in the line shown they stand."""
        return _by_user((x.user, i) for i, x in enumerate(self._rows_of_line))

    @cached_property
    def _leases(self) -> list[Lease]:
        return list(self.seen.scene.state.leases.values())

    @cached_property
    def _holding(self) -> Mapping[str, list[int]]:
        """User → which of the leases are theirs."""
        return _by_user((x.request.user, i) for i, x in enumerate(self._leases))

    @cached_property
    def _booked(self) -> list[tuple[Reservation, Window]]:
        """Reservations that are not over, soonest first."""
        found = [
            (x, w) for x in self._house.reservations.values()
            if (w := next_window(x, self.seen.at)) is not None
        ]
        return sorted(found, key=lambda x: (x[1], x[0].id))

    @cached_property
    def _common(self) -> Mapping[str, str]:
        """What is the same for everybody."""
        begins, ends = week(self.seen.at, self._house.rules)
        # a day more: the calendar's days are whole, and a week may begin at six
        first = begins - DAY
        found = sorted(
            (window_out(x, w) for x in self._house.reservations.values()
             for w in windows(x, first, begins + _WEEKS * WEEK + DAY)),
            key=lambda x: (x.begins, x.ends, x.id),
        )
        return {
            "week": WeekOut(begins=begins, ends=ends).model_dump_json(),
            "offers": _OFFERS.dump_json(offers(self.seen.scene.state)).decode(),
            "windows": _list(x.model_dump_json() for x in found),
        }


_NOBODY = Caller(name="", kind="nobody")


def whose(caller: Caller) -> str | None:
    """Under which name of `Seen.newest` this caller's runs stand."""
    return None if caller.is_operator else caller.name


def _by_user(pairs: Iterable[tuple[str | None, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for user, i in pairs:
        if user is not None:
            found.setdefault(user, []).append(i)
    return found


def _list(rows: Iterable[str]) -> str:
    return f"[{','.join(rows)}]"
