"""How long one tick's decisions take: a look at the machine and a turn, in core, without I/O.

    python -m tests.bench.tick [--times 20] [--profile]

The house: 7,000 slices, all held but a few, and 10,000 requests in the line; and a tenth and ten
times of both. Between two ticks some leave and some come, as in a day. Each figure is the median;
beside the time on the wall stands the processor's, which other programs here do not lengthen.
"""

import argparse
import cProfile
import pstats
import random
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hub.core import policy
from hub.core.events import Ended, Observed
from hub.core.lease import check, step
from hub.core.nouns import Kind, Lease, Request, Stage, State
from hub.core.replay.jobs import slices_of
from hub.core.rules import Group, House, Reservation, Rules, Usage, Weekly

SLICES, LINE, GOAL_MS = 7000, 10_000, 100.0
CARDS = ("A100-40:" + ",".join(["1g.5gb"] * 7), "A100-40:3g.20gb,2g.10gb,1g.5gb,1g.5gb")
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
_GONE = (Stage.RELEASED, Stage.WITHDRAWN)


@dataclass
class Room:
    """A house of one size, and what happens in it between two ticks."""

    slices: int
    line: int
    now: datetime = NOW
    luck: random.Random = field(default_factory=lambda: random.Random(1))
    asked: int = 0

    def __post_init__(self) -> None:
        seen = slices_of([CARDS[i % 2] for i in range(self.slices)])[:self.slices]
        self.seen = seen
        self.people = [(f"g{i % max(3, self.line // 50)}", f"u{i}") for i in range(self.line)]
        leases = {x.id: x for x in self._leases()}
        self.state = State({s.key: s for s in seen}, leases, house=self._house())
        self.containers = {x.id: True for x in leases.values() if x.slice}
        check(self.state)

    def _house(self) -> House:
        usage = {
            who: Usage(self.luck.random() * 90, NOW - timedelta(hours=3)) for who in self.people
        }
        hours = Weekly((0, 2), NOW.time().replace(hour=13), NOW.time().replace(hour=15), NOW.date())
        reserved = {
            f"r{i}": Reservation(f"r{i}", f"g{i}", "1g.5gb", self.slices // 100, hours, "UTC")
            for i in range(3)
        }
        groups = {g: Group(g, 1 + self.luck.random()) for g, _ in self.people}
        return House(Rules(), groups, usage, reserved)

    def _leases(self) -> Iterator[Lease]:
        for one in self.seen[self.slices // 200:]:
            since = self.now - timedelta(minutes=self.luck.randrange(200))
            request = self._request(since, one.key.profile)
            yield Lease(
                request, Stage.RUNNING, one.key, since, since, rate=one.rate,
                promised=since + timedelta(hours=1), until=since + timedelta(hours=12),
                active_at=self.now, heard_at=self.now,
            )
        for _ in range(self.line):
            yield Lease(self._request(
                self.now - timedelta(seconds=self.luck.randrange(4 * 3600)), self._profile()
            ))

    def _profile(self) -> str:
        return self.luck.choices(("1g.5gb", "2g.10gb", "3g.20gb"), (6, 3, 1))[0]

    def _request(self, at: datetime, profile: str) -> Request:
        self.asked += 1
        group, user = self.luck.choice(self.people)
        kind = Kind.RUN if self.luck.random() < 0.3 else Kind.SERVER
        return Request(
            f"{self.asked:07}", user, kind, f"{self.asked}", profile, "", at, group,
            member_of=(group,),
        )

    def live_a_little(self) -> None:
        """Two seconds: one in three hundred leaves, and as many come."""
        self.now += timedelta(seconds=2)
        draft = self.state.draft()
        live = [x.id for x in self.state.leases.values() if x.live]
        some = max(1, len(live) // 300)
        for id in self.luck.sample(live, some):
            draft, _ = step(draft, Ended(id, "stopped"), self.now - timedelta(seconds=1))
            del self.containers[id]
        # as `Asked` does, which looks first whether each has asked before
        came = [Lease(self._request(self.now, self._profile())) for _ in range(some)]
        after = draft.having(*came).settled(self.state)
        # the store does not load again what has ended
        leases = {k: x for k, x in after.leases.items() if x.stage not in _GONE}
        self.state = replace(after, leases=leases)

    def tick(self) -> None:
        """What is measured."""
        seen = Observed(self.now, self.seen, self.containers)
        state, _ = step(self.state, seen, self.now)
        self.state, _ = policy.turn(state, self.now)

    def settle(self) -> None:
        """Containers of those that were given a slice."""
        there = {x.id: True for x in self.state.leases.values() if x.live}
        self.containers = there


def measure(room: Room, times: int) -> tuple[float, float]:
    """(median milliseconds on the wall, median of the processor)."""
    wall, used = [], []
    for _ in range(times):
        room.live_a_little()
        begin, cpu = time.perf_counter(), time.process_time()
        room.tick()
        wall.append(time.perf_counter() - begin)
        used.append(time.process_time() - cpu)
        room.settle()
    check(room.state)
    return statistics.median(wall) * 1000, statistics.median(used) * 1000


def main() -> int:
    """Print the table; exit code 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--profile", action="store_true", help="where the time goes, at 1x")
    options = parser.parse_args()
    if options.profile:
        return profile(options.times)
    print("slices   line     wall ms   processor ms   processor against a tenth")
    before, missed = 0.0, False
    for part in (0.1, 1.0, 10.0):
        room = Room(int(SLICES * part), int(LINE * part))
        times = options.times if part <= 1 else max(5, options.times // 4)
        measure(room, 3)
        wall, used = measure(room, times)
        ratio = f"{used / before:.1f}" if before else "-"
        print(f"{room.slices:6} {room.line:6} {wall:11.1f} {used:14.1f} {ratio:>12}", flush=True)
        before = used
        missed = missed or (part == 1 and min(wall, used) > GOAL_MS)
    return int(missed)


def profile(times: int) -> int:
    """Print what takes the time at full size."""
    room = Room(SLICES, LINE)
    measure(room, 3)
    recorder = cProfile.Profile()
    for _ in range(times):
        room.live_a_little()
        recorder.runcall(room.tick)
        room.settle()
    pstats.Stats(recorder).sort_stats("cumtime").print_stats(45)
    return 0


if __name__ == "__main__":
    sys.exit(main())
