"""What a release costs a house: 200 students with 20 notebooks each, and one student's start.

    .venv/bin/python -m tests.bench.handout [--students 200] [--notebooks 20] [--times 5]

Real folders, a real store, as many threads as the tick has. The first release is all new; before
the second one half of the students have edited 5 notebooks, and all 20 have changed upstream. Then
what one student's start waits for: where nothing is new, and for 20 changed notebooks, all of them
edited. Wall-clock figures of a machine that others use too: look at `uptime` first.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hub.attending import THREADS
from hub.core.roster import Member, Role
from tests.floor.classes import COURSE, GROUP, Classroom, cells, classroom_at

CELLS = 24


def course(notebooks: int, release: int) -> dict[str, object]:
    """Notebooks of 24 cells; two cells of each differ from release to release."""
    def source(book: int, cell: int) -> str:
        lines = [f"value_{i} = {book * 1000 + cell} + {i}" for i in range(8)]
        changed = cell in (3, 17)
        return "\n".join([*lines, f"release = {release}"] if changed else lines)

    return {
        f"week{b // 5}/{b:02}.ipynb": cells(**{f"c{b}-{i}": source(b, i) for i in range(CELLS)})
        for b in range(notebooks)
    }


def edit(room: Classroom, user: str, notebooks: list[str]) -> None:
    """A student's work: two cells of their own text, and one that both change."""
    for path in notebooks:
        file = room.folder(user) / path
        found = json.loads(file.read_bytes())
        for i in (3, 5, 9):
            found["cells"][i]["source"] += f"\nanswer = '{user}'"
        file.write_text(json.dumps(found, indent=1))


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def everybody(room: Classroom, users: list[str]) -> None:
    """As `hub.attending` does it."""
    with ThreadPoolExecutor(THREADS) as pool:
        made = list(pool.map(lambda x: room.handouts.hand_out(x, COURSE), users))
    assert all(made)


def mass(room: Classroom, users: list[str], notebooks: int) -> None:
    """Two releases for everybody."""
    room.publish(course(notebooks, 1))
    count = f"{len(users)} students x {notebooks} notebooks"
    print(f"release 1, all new: {count}: {seconds(lambda: everybody(room, users)):.2f} s")
    for user in users[::2]:
        edit(room, user, sorted(course(notebooks, 1))[:5])
    room.publish(course(notebooks, 2))
    took = seconds(lambda: everybody(room, users))
    print(f"release 2, half have edited 5: {count}: {took:.2f} s")


def starts(room: Classroom, user: str, notebooks: int, times: int) -> Iterator[tuple[str, float]]:
    """One student's start, `times` times."""
    for i in range(times):
        yield "nothing is new", seconds(lambda: room.handouts.all_for(user))
        edit(room, user, sorted(course(notebooks, 1)))
        room.publish(course(notebooks, 100 + i))
        yield (f"{notebooks} changed notebooks, all edited",
               seconds(lambda: room.handouts.all_for(user)))


def main() -> None:
    """Print what it costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=200)
    parser.add_argument("--notebooks", type=int, default=20)
    parser.add_argument("--times", type=int, default=5)
    asked = parser.parse_args()
    users = [f"student{i:03}" for i in range(asked.students)]
    with (
        tempfile.TemporaryDirectory(prefix="madang-handout-") as folder,
        classroom_at(Path(folder)) as room,
    ):
        room.floor.broker.set_members(tuple(Member(x, GROUP, Role.STUDENT) for x in users))
        mass(room, users, asked.notebooks)
        print(f"the instructor's overview: {seconds(lambda: room.handouts.overview(COURSE)):.2f} s,"
              f" once more {seconds(lambda: room.handouts.overview(COURSE)):.2f} s")
        made: dict[str, list[float]] = {}
        for what, took in starts(room, users[1], asked.notebooks, asked.times):
            made.setdefault(what, []).append(took)
        for what, all_took in made.items():
            middle, worst = statistics.median(all_took) * 1000, max(all_took) * 1000
            print(f"a start, {what}: {middle:.0f} ms (median), {worst:.0f} ms (worst)")


if __name__ == "__main__":
    main()
