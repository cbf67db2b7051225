"""A machine room that goes its own way, and a Madang that only hears of it.

Hypothesis draws the order of everything and shrinks what fails; `storms.storm` draws it by weight,
fifty times as fast. The law is physical: no two containers ever run on one slice. What Madang
knows comes late, twice, in part or not at all; what it decides is `step` and `policy.turn`.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hub.core import lease as core
from hub.core import policy
from hub.core.lease import (
    ARROWS,
    Asked,
    Blocked,
    Ended,
    Event,
    Kind,
    Limits,
    Observed,
    RemoveContainer,
    Reported,
    Request,
    Stage,
    Started,
    State,
    Withdrawn,
)
from hub.core.mig import Slice, SliceKey
from hub.core.rules import Group, House, Reservation, Rules, Span

LIMITS = Limits(
    timedelta(seconds=60), timedelta(seconds=10), timedelta(seconds=120), timedelta(seconds=20)
)
RULES = Rules(
    min_hold=timedelta(seconds=60), max_hold=timedelta(seconds=400), run_hold=timedelta(seconds=9),
    notice=timedelta(seconds=15), idle=timedelta(seconds=30), patience=timedelta(seconds=200),
    run_patience=timedelta(seconds=300), grace=timedelta(seconds=20), margin=timedelta(seconds=10),
    shortest=timedelta(seconds=10), entry=timedelta(seconds=30),
)
SMALL, BIG = "1g.5gb", "2g.10gb"
SLICES = tuple(
    Slice(SliceKey("node", "GPU-1", p, i), f"MIG-{i}", "A100", 0, 1, 1, 4864)
    for i, p in enumerate([SMALL, SMALL, BIG])
)
SECONDS = (1, 1, 1, 3, 3, 9, 9, 15, 70, 130)
PICK = st.integers(0, 999)
ENDED = (Stage.RELEASED, Stage.WITHDRAWN)


class World(RuleBasedStateMachine):
    """Every rule is something that happens in a day, in an order that nobody planned."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 3, 2, tzinfo=UTC)
        self.state = State(limits=LIMITS, house=House(
            rules=RULES, groups={"a": Group("a", 2.0), "b": Group("b", 1.0, user_quota=0.2)},
        ))
        self.count = 0
        self.granted: dict[str, SliceKey] = {}  # every grant there ever was
        self.starting: dict[str, datetime] = {}  # a start under way, since
        self.containers: dict[str, bool] = {}  # id → runs
        self.booted: set[str] = set()
        self.lingering: set[str] = set()  # exited, but a process is still on the slice
        self.foreign: set[SliceKey] = set()
        self.absent: set[SliceKey] = set()
        self.looks: list[Observed] = []
        self.removals: list[str] = []

    # ---- what Madang does ------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """One event through the one door, and everything that must hold of it."""
        before = self.state
        after, effects = core.step(before, event, self.now)
        for id, x in after.leases.items():
            was = before.leases.get(id)
            if was is not None and was.stage is not x.stage:
                assert x.stage in ARROWS[was.stage], (was, x)
                assert x.stage is not Stage.RELEASED or self.proven(was, event), (was, event)
                assert x.stage is not Stage.DRAINING or isinstance(
                    event, Ended | Withdrawn
                ) or self.seen_without(was, event), (was, event)
        for effect in effects:
            if isinstance(effect, RemoveContainer):
                x = after.leases.get(effect.id)
                assert x is None or x.stage not in (Stage.GRANTED, Stage.RUNNING), effect
                self.removals.append(effect.id)
        # the store does not load again what has ended
        live = {k: x for k, x in after.leases.items() if x.stage not in ENDED}
        self.state = replace(after, leases=live)

    def proven(self, lease: core.Lease, event: Event) -> bool:
        """A release needs one look, begun after the end, at both: no container, no process."""
        assert isinstance(event, Observed)
        assert event.containers is not None
        assert event.slices is not None
        assert lease.draining_at is not None
        dirty = [s for s in event.slices if s.key == lease.slice and s.processes != ()]
        runs = event.containers.get(lease.id, False)
        return not runs and not dirty and event.at >= lease.draining_at

    def seen_without(self, lease: core.Lease, event: Event) -> bool:
        """Without anybody's word, a lease ends only when a look at Docker did not show it run."""
        return (isinstance(event, Observed) and event.containers is not None
                and not event.containers.get(lease.id))

    @rule(seconds=st.sampled_from(SECONDS))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(who=st.integers(0, 3), kind=st.sampled_from(Kind), profile=st.sampled_from([SMALL, BIG]))
    def somebody_asks(self, who: int, kind: Kind, profile: str) -> None:
        self.count += 1
        name = f"{self.count:03}"
        group = "ab"[who % 2]
        self.tell(Asked(Request(
            name, f"u{who}", kind, "", profile, "image", self.now, group, member_of=(group,)
        )))

    @rule()
    def the_policy_gives(self) -> None:
        """A whole turn: what is over ends, what is free is given, somebody is asked back."""
        before = self.state
        after, _ = policy.turn(before, self.now)
        on = {self.granted[i] for i, runs in self.containers.items() if runs}
        for id, x in after.leases.items():
            was = before.leases[id]
            if was.stage is x.stage:
                assert x.until is None or x.promised is None or x.promised <= x.until, x
                continue
            assert x.stage in ARROWS[was.stage], (was, x)
            if x.stage is Stage.DRAINING:
                # nobody is put out before the time that was promised, unless it was idle, or
                # its latest end came
                assert x.why is not None, x
                assert x.until is None or was.promised is None or (
                    was.promised <= self.now or was.notice is not None or x.until <= self.now), x
                continue
            assert x.stage is Stage.GRANTED, x
            assert x.slice is not None
            assert x.slice not in on, f"{x} while a container runs there"
            assert x.slice not in self.granted_now(), x
            assert not before.slices[x.slice].blocked, x
            self.granted[id] = x.slice
        self.state = after

    @rule(pick=PICK, ago=st.sampled_from(SECONDS))
    def a_server_reports(self, *, pick: int, ago: int) -> None:
        """Its clock may be wrong by a little, and its news late."""
        at = self.now - timedelta(seconds=ago - 2)
        self.tell(Reported(f"{pick % (self.count + 2):03}", at, self.now))

    @rule(group=st.sampled_from("ab"), ahead=st.sampled_from(SECONDS), many=st.integers(1, 2))
    def slices_are_reserved(self, *, group: str, ahead: int, many: int) -> None:
        """Also where it is in somebody's way: the desk refuses that, the policy must live with."""
        begins = (self.now + timedelta(seconds=ahead)).replace(tzinfo=None)
        when = Span(begins, begins + timedelta(seconds=70))
        made = Reservation(f"r{ahead}", group, SMALL, many, when, "UTC")
        house = self.state.house
        self.state = replace(self.state, house=replace(
            house, reservations={**house.reservations, made.id: made}
        ))

    @rule(where=st.sampled_from(SLICES))
    def an_operator_blocks_a_slice(self, where: Slice) -> None:
        found = self.state.slices.get(where.key)
        self.tell(Blocked(where.key, "" if found and found.blocked else "broken fan"))

    def granted_now(self) -> set[SliceKey]:
        stages = {Stage.GRANTED, Stage.RUNNING, Stage.DRAINING, Stage.QUARANTINED}
        return {x.slice for x in self.state.leases.values() if x.stage in stages and x.slice}

    @rule(pick=PICK)
    def it_is_ended(self, pick: int) -> None:
        self.tell(Ended(f"{pick % (self.count + 2):03}", "stopped"))

    @rule(pick=PICK)
    def it_is_withdrawn(self, pick: int) -> None:
        self.tell(Withdrawn(f"{pick % (self.count + 2):03}"))

    @rule(pick=PICK)
    def a_start_is_told(self, pick: int) -> None:
        """Late, twice, or of a container that has gone since."""
        if self.booted:
            self.tell(Started(sorted(self.booted)[pick % len(self.booted)]))

    @rule(pick=PICK, fails=st.booleans())
    def a_container_is_removed(self, *, pick: int, fails: bool) -> None:
        if self.removals and not fails:
            self.lose(self.removals.pop(pick % len(self.removals)))

    # ---- what the machine does -------------------------------------------------------------------

    @rule(pick=PICK)
    def a_start_begins(self, pick: int) -> None:
        """`may_start` is asked right before Docker is."""
        may = sorted(i for i, x in self.state.leases.items()
                     if x.stage is Stage.GRANTED and i not in self.containers)
        if may:
            self.starting.setdefault(may[pick % len(may)], self.now)

    @rule(pick=PICK, boots=st.booleans())
    def a_start_lands(self, *, pick: int, boots: bool) -> None:
        """Docker creates and starts within `settle`, or not at all: that is what it promises."""
        if not self.starting:
            return
        self.now += timedelta(microseconds=1)  # a look and a start are never at the same moment
        id = sorted(self.starting)[pick % len(self.starting)]
        in_time = self.now - self.starting[id] < LIMITS.settle
        if in_time and not boots and id not in self.containers:
            self.containers[id] = False
            return
        del self.starting[id]
        if in_time and boots and id not in self.booted:
            self.containers[id] = True
            self.booted.add(id)

    @rule(pick=PICK, lingers=st.booleans())
    def a_container_exits(self, *, pick: int, lingers: bool) -> None:
        on = sorted(i for i, runs in self.containers.items() if runs)
        if on:
            id = on[pick % len(on)]
            self.containers[id] = False
            if lingers:
                self.lingering.add(id)

    @rule(pick=PICK)
    def a_container_vanishes(self, pick: int) -> None:
        if self.containers:
            self.lose(sorted(self.containers)[pick % len(self.containers)])

    def lose(self, id: str) -> None:
        self.containers.pop(id, None)
        self.starting.pop(id, None)

    @rule()
    def what_lingers_dies(self) -> None:
        self.lingering.clear()

    @rule(where=st.sampled_from(SLICES))
    def a_foreign_process_comes_or_goes(self, where: Slice) -> None:
        self.foreign ^= {where.key}

    @rule(where=st.sampled_from(SLICES))
    def a_slice_vanishes_or_returns(self, where: Slice) -> None:
        self.absent ^= {where.key}

    @rule(gpus=st.sampled_from([True, True, True, False]),
          docker=st.sampled_from([True, True, True, False]))
    def a_look_is_taken(self, *, gpus: bool, docker: bool) -> None:
        self.looks.append(Observed(
            self.now, self.sample() if gpus else None, dict(self.containers) if docker else None
        ))

    def sample(self) -> tuple[Slice, ...]:
        busy = {self.granted[i] for i, on in self.containers.items() if on} | self.foreign
        busy |= {self.granted[i] for i in self.lingering}
        return tuple(
            replace(s, processes=(7,) if s.key in busy else ())
            for s in SLICES if s.key not in self.absent
        )

    @rule(pick=PICK, again=st.booleans())
    def a_look_is_told(self, *, pick: int, again: bool) -> None:
        """In any order, also twice; a look older than half a minute has timed out."""
        fresh = [x for x in self.looks if self.now - x.at <= timedelta(seconds=30)]
        self.looks = fresh
        if fresh:
            look = fresh[pick % len(fresh)]
            self.tell(look)
            if not again:
                self.looks.remove(look)

    @initialize()
    def begin(self) -> None:
        self.tell(Observed(self.now, SLICES, {}))

    # ---- what must hold --------------------------------------------------------------------------

    @invariant()
    def the_conservation_law_holds(self) -> None:
        core.check(self.state)

    @invariant()
    def no_two_containers_run_on_one_slice(self) -> None:
        on = [self.granted[i] for i, runs in self.containers.items() if runs]
        assert len(on) == len(set(on)), (self.containers, self.granted)

    def teardown(self) -> None:
        """Nothing stays held by nobody: once all is over and seen, every slice is free again."""
        for id in list(self.state.leases):
            self.tell(Ended(id, "the day is over"))
        self.now += timedelta(seconds=30)
        for id in self.containers:
            self.containers[id] = False
        self.starting.clear()
        self.lingering.clear()
        self.foreign.clear()
        self.absent.clear()
        for one in SLICES:
            self.tell(Blocked(one.key, ""))
        for _ in range(2):
            # a run that has exited waits for `batch` to read how it ended; then nobody's patience
            # but the limit counts
            self.now += core.Limits().dirty
            self.tell(Observed(self.now, self.sample(), dict(self.containers)))
            for id in self.removals:
                self.lose(id)
        core.check(self.state)
        assert not self.containers, f"left behind: {self.containers}"
        assert [x.stage for x in self.state.leases.values() if x.holds] == []
        assert len(self.state.free()) == len(SLICES)
