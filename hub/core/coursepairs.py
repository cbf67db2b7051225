"""Which cell is which: by id, then by content, then by what stands between the same neighbours.

Ids are lost by tools that write format 4.4, and made anew by some; then content tells. Nothing here
decides what becomes of a cell.
"""

import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hub.core.coursecells import Cell

_ALIKE = 0.5  # the share of words that both have
_WORDS_MOST = 2000  # that are looked at in one cell
_GAP_MOST = 400  # pairs of cells looked at between two neighbours
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Known:
    """A cell that is looked for: all ids and contents that it may have been given under.

    `cell`: what it is like, where likeness counts; None where only id and content do. `gone`: it is
    found by its id, or for a cell without id: a copy that somebody made of it is not the cell.
    """

    ids: tuple[str, ...]
    contents: tuple[tuple[str, str], ...]
    cell: Cell | None
    gone: bool = False


def paired(
    known: Sequence[Known], found: Sequence[Cell], *, by_place: bool = True, anew: bool = True
) -> dict[int, int]:
    """Index in `found` → index in `known`, each at most once.

    Args:
        by_place: where no id is the same on both sides, as many cells between the same neighbours
            are the same ones.
        anew: all ids may have been made anew.
    """
    pairs = _Pairs(known, found)
    pairs.add(pairs.by_id(sure=True))
    same = len(pairs.of)
    shifted = pairs.shifted()
    if len(shifted) > same:
        # ids that were counted anew: most of them now name another cell
        pairs.add(shifted)
    pairs.add(pairs.by_id(sure=False))
    if len(pairs.of) in {len(known), len(found)}:
        return pairs.of
    ids_say = any(found[i].id in known[k].ids for i, k in pairs.of.items())
    # an id that is not known is a cell of somebody's own, unless all were made anew
    pairs.anew = anew and not ids_say and pairs.anything()
    pairs.add(pairs.by_content())
    pairs.add(pairs.by_neighbours(by_place=by_place and not ids_say))
    pairs.add(pairs.by_order())
    # with fewer left, more of them stand there once
    pairs.add(pairs.by_content())
    return pairs.of


class _Pairs:
    """Pairs found so far. Whatever finds more reads the ones before."""

    def __init__(self, known: Sequence[Known], found: Sequence[Cell]) -> None:
        self.known, self.found = known, found
        self.of: dict[int, int] = {}
        self.anew = False
        self._taken: set[int] = set()
        self._words: dict[int, Counter[str]] = {}

    def add(self, pairs: Iterator[tuple[int, int]] | Sequence[tuple[int, int]]) -> None:
        # read whole before anything is taken: what finds pairs reads what is left
        for i, k in list(pairs):
            if i not in self.of and k not in self._taken:
                self.of[i] = k
                self._taken.add(k)

    def _left(self) -> Iterator[tuple[int, Cell]]:
        return ((i, x) for i, x in enumerate(self.found) if i not in self.of)

    def _sought(self) -> Iterator[tuple[int, Known]]:
        return ((k, x) for k, x in enumerate(self.known) if k not in self._taken)

    def by_id(self, *, sure: bool) -> Iterator[tuple[int, int]]:
        """`sure`: the content is one that the cell may have, too."""
        there: dict[str, int] = {}
        for at in (0, 1):  # an older id goes before a newer one
            for k, x in self._sought():
                if at < len(x.ids):
                    there.setdefault(x.ids[at], k)
        for i, cell in self._left():
            k = there.get(cell.id, -1)
            if cell.id and k >= 0 and (not sure or cell.content in self.known[k].contents):
                yield i, k

    def by_content(self) -> Iterator[tuple[int, int]]:
        """What stands there once on both sides, wherever."""
        there: dict[tuple[str, str], list[int]] = defaultdict(list)
        for k, x in self._sought():
            for content in x.contents:
                there[content].append(k)
        here = Counter(x.content for _, x in self._left())
        for i, cell in self._left():
            places = there.get(cell.content, ())
            if len(places) == 1 and here[cell.content] == 1 and cell.source.strip() \
                    and self._may(cell, places[0]):
                yield i, places[0]

    def shifted(self) -> list[tuple[int, int]]:
        """Those of them whose ids name other cells."""
        ids = {id for x in self.known for id in x.ids}
        return [(i, k) for i, k in self.by_content() if self.found[i].id in ids]

    def anything(self) -> bool:
        """Whether any cell is one that is looked for, by its content."""
        contents = {content for x in self.known for content in x.contents}
        return any(x.content in contents for x in self.found if x.source.strip())

    def _may(self, cell: Cell, k: int) -> bool:
        return not cell.id or not self.known[k].gone

    def by_neighbours(self, *, by_place: bool) -> Iterator[tuple[int, int]]:
        """What follows the same cell: equal ones in order, then those that are alike."""
        for cells, sought in self._gaps():
            yield from self._gap(cells, sought, by_place=by_place)

    def by_order(self) -> Iterator[tuple[int, int]]:
        """What stands there several times, and moved."""
        left = [i for i, x in self._left() if x.source.strip() and (self.anew or not x.id)]
        return self._equal(left, [k for k, _ in self._sought()])

    def _gaps(self) -> Iterator[tuple[list[int], list[int]]]:
        """Cells between two that are paired, and what is looked for behind the first of them."""
        cells: list[int] = []
        last = -1
        for i, cell in enumerate(self.found):
            if i not in self.of:
                if self.anew or not cell.id:
                    cells.append(i)
                continue
            if cells:
                yield cells, self._behind(last)
            cells, last = [], self.of[i]
        if cells:
            yield cells, self._behind(last)

    def _behind(self, last: int) -> list[int]:
        places = []
        for k in range(last + 1, len(self.known)):
            if k in self._taken or self.known[k].cell is None:
                break
            places.append(k)
        return places

    def _gap(
        self, cells: list[int], sought: list[int], *, by_place: bool
    ) -> Iterator[tuple[int, int]]:
        equal = dict(self._equal(cells, sought))
        yield from equal.items()
        done = set(equal.values())
        yield from self._alike(
            [i for i in cells if i not in equal], [k for k in sought if k not in done],
            by_place=by_place,
        )

    def _equal(self, cells: list[int], sought: list[int]) -> Iterator[tuple[int, int]]:
        """Those of one content, the first with the first."""
        there: dict[tuple[str, str], deque[int]] = defaultdict(deque)
        for k in sought:
            for content in self.known[k].contents:
                there[content].append(k)
        done: set[int] = set()
        for i in cells:
            places = there.get(self.found[i].content)
            while places:
                k = places.popleft()
                if k not in done and self._may(self.found[i], k):
                    done.add(k)
                    yield i, k
                    break

    def _alike(
        self, cells: list[int], sought: list[int], *, by_place: bool
    ) -> Iterator[tuple[int, int]]:
        """In order; `by_place`: as many of the same kinds are the same, whatever they say."""
        if by_place and [self.found[i].kind for i in cells] == [
            self._of(k).kind for k in sought
        ]:
            pairs = zip(cells, sought, strict=True)
            yield from ((i, k) for i, k in pairs if self._may(self.found[i], k))
            return
        if len(cells) * len(sought) > _GAP_MOST:
            return
        at = 0
        for k in sought:
            for n in range(at, len(cells)):
                if self._may(self.found[cells[n]], k) and self._likeness(cells[n], k) >= _ALIKE:
                    yield cells[n], k
                    at = n + 1
                    break

    def _of(self, k: int) -> Cell:
        cell = self.known[k].cell
        assert cell is not None
        return cell

    def _likeness(self, i: int, k: int) -> float:
        one, other = self.found[i], self._of(k)
        if one.kind != other.kind:
            return 0.0
        words, others = self._bag(i, one), self._bag(-1 - k, other)
        total = words.total() + others.total()
        return 2 * (words & others).total() / total if total else 0.0

    def _bag(self, key: int, cell: Cell) -> Counter[str]:
        if key not in self._words:
            words = (x.group() for x in _WORD.finditer(cell.source))
            self._words[key] = Counter(x for x, _ in zip(words, range(_WORDS_MOST), strict=False))
        return self._words[key]
