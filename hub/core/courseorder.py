"""The order of a merged notebook: the student's where they moved a cell, else the instructor's.

What is new stands behind the cell that it follows in the release, after what the student put there.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Written = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Group:
    """What came of one cell of the student: none, one, or it and the new version behind it.

    `place`: where it stands in the release; -1 where it does not, and it follows what is before it.
    """

    place: int
    cells: Sequence[Written]


def arranged(
    groups: Iterable[Group], added: Mapping[int, Written], *, theirs: bool
) -> list[Written]:
    """The cells in order.

    Args:
        groups: in the student's order.
        added: place in the release → the cell that the student does not have.
        theirs: in the release's order, each cell with what the student put behind it.
    """
    blocks = _blocks(groups)
    if theirs:
        blocks.sort(key=lambda x: x[0].place)  # the first, without a cell, has no place: -1
    there = {x[0].place for x in blocks}
    behind: dict[int, list[Written]] = defaultdict(list)
    anchor = -1
    for place in sorted({*there, *added}):
        if place in added:
            behind[anchor].append(added[place])
        else:
            anchor = place
    return [
        cell for block in blocks
        for cell in (*(y for x in block for y in x.cells), *behind[block[0].place])
    ]


def _blocks(groups: Iterable[Group]) -> list[list[Group]]:
    """Each cell of the release with what stands behind it; first what stands before all of them."""
    blocks = [[Group(-1, ())]]
    for x in groups:
        if x.place >= 0:
            blocks.append([x])
        else:
            blocks[-1].append(x)
    return blocks


def moved(places: Sequence[int]) -> set[int]:
    """The fewest of these numbers that stand elsewhere than counting up would have them."""
    tops: list[int] = []  # the smallest last number of a rising row of each length
    before: dict[int, int] = {}
    for x in places:
        at = bisect_left(tops, x)
        before[x] = tops[at - 1] if at else -1
        tops[at:at + 1] = [x]
    stay: set[int] = set()
    x = tops[-1] if tops else -1
    while x >= 0:
        stay.add(x)
        x = before[x]
    return set(places) - stay
