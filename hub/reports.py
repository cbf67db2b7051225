"""Verbs for the morning after: what ran since, two runs beside each other, a run as a page."""

import logging
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

from hub.batch import Batch
from hub.comparing import comparison_of, glance_from
from hub.core import report
from hub.core.compare import Comparison
from hub.core.glance import Glance, last_lines
from hub.core.report import Entry, Report
from hub.core.runs import Run
from hub.core.usage import read_moment
from hub.edge.aside import Aside, TooMuch
from hub.errors import BadInput, NotFound, Refusal

log = logging.getLogger("madang.reports")
_RUNS = 2000  # of one person: the newest that a report compares with
_KEPT = 64 << 20  # bytes of what was made aside


class Reports:
    """Reads what the batch keeps; changes nothing. Safe from many threads.

    Args:
        aside: does the work with whole notebooks.
    """

    def __init__(
        self, batch: Batch, aside: Aside | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.batch = batch
        self._aside = aside or Aside()
        self._clock = clock
        self._made = _Kept(_KEPT)

    def close(self) -> None:
        """End the processes aside."""
        self._aside.close()

    def report(self, user: str | None, since: str, until: str = "") -> Report:
        """What ended between two moments as somebody typed them; `until` "" is now.

        Args:
            user: whose runs; None for everybody's.

        Raises:
            BadInput: no moments, or the end is not after the beginning.
        """
        now, zone = self._clock(), self.batch.settings.timezone
        first = read_moment(since, zone, now)
        last = read_moment(until, zone, now) if until else now
        if first >= last:
            raise BadInput(
                "The end is not after the beginning, or both lie ahead.", reason="bad-request"
            )
        return self.between(user, first, last)

    def between(self, user: str | None, first: datetime, last: datetime) -> Report:
        """The same for moments."""
        ended = self.batch.list(user=user, limit=sys.maxsize, ended_since=first)
        found = {x.id: x for x in ended}
        # what each is compared with, and what has not ended
        people = {x.user for x in ended} if user is None else {user}
        for name in people:
            found |= {x.id: x for x in self.batch.list(user=name, limit=_RUNS)}
        made = report.report_of(found.values(), first, last)
        unrun = self.batch.broker.edges.store.unrun(first, last, user=user)
        made = replace(made, unrun=tuple(unrun))
        return made if user else replace(made, still=self.batch.counts())

    def people(self, first: datetime, last: datetime) -> set[str]:
        """The `people` of everybody's report, without making it."""
        store = self.batch.broker.edges.store
        return store.who_ended(first, last) | {
            x.schedule.user for x in store.unrun(first, last)
        }

    def entry(self, run: Run) -> Entry:
        """A run beside the one before it."""
        return report.entry_of(run, self.batch.list(user=run.user, limit=_RUNS))

    def lines(self, entry: Entry) -> tuple[str, ...]:
        """The last lines of what went wrong: of the error, else of the log."""
        run = entry.run
        return entry.lines or last_lines(
            (self.batch.files.log(run.id, run.attempt) or b"")[-20_000:].decode(errors="replace")
        )

    def compare(self, before: Run, after: Run, who: str = "") -> Comparison:
        """Two runs' notebooks, cell by cell; `who` asks.

        Raises:
            NotFound: one has no output, or it is kept no more.
            Refusal: see `Aside.call`.
        """
        return comparison_of(self._aside_of("compare", (before, after), who))

    def beside(
        self, before: bytes, after: bytes, who: str = "", *, notebooks: bool = True
    ) -> Comparison:
        """The same for two versions of a course's file, without outputs; b"" where there is none.

        Raises:
            Refusal: see `Aside.call`.
        """
        function = "compare_sources" if notebooks else "compare_texts"
        key = (function, *(sha256(x).hexdigest() for x in (before, after)))
        return comparison_of(self._kept_or_made(function, key, lambda: [before, after], who))

    def glance(self, run: Run, who: str = "") -> Glance:
        """What there is to see in a run's notebook.

        Raises:
            NotFound, Refusal: as `compare`.
        """
        return glance_from(self._aside_of("glance", (run,), who))

    def page(self, run: Run, who: str = "") -> bytes:
        """A run's notebook as an HTML page in which nothing runs.

        Raises:
            NotFound, Refusal: as `compare`.
        """
        return self._aside_of("page", (run,), who)

    def output(self, run: Run) -> bytes:
        """The output notebook, as the run wrote it.

        Raises:
            NotFound: there is none, or it is kept no more.
        """
        found = self.batch.files.output(run.id)
        if found is None:
            raise NotFound(
                "The output of run {id} is not kept here: it has none, it was too large, or it "
                "ended more than {days} days ago.", id=run.id, days=self.batch.settings.keep_days,
            )
        return found

    def kept(self, run: Run) -> bool:
        """Whether its output is kept here."""
        return self.batch.files.has_output(run.id)

    def _aside_of(self, function: str, runs: tuple[Run, ...], who: str) -> bytes:
        # an output is changed by the next attempt only: what has not ended may still become one
        lasting = all(x.done for x in runs)
        key = (function, *(f"{x.id}-{x.attempt}" for x in runs))
        return self._kept_or_made(
            function, key, lambda: [self.output(x) for x in runs], who, lasting=lasting
        )

    def _kept_or_made(
        self, function: str, key: tuple[str, ...], given: Callable[[], list[bytes]], who: str, *,
        lasting: bool = True,
    ) -> bytes:
        made = self._made.get(key) if lasting else None
        if isinstance(made, bytes):
            return made
        if isinstance(made, Refusal):
            raise made
        try:
            made = self._aside.call(f"hub.comparing:{function}", *given(), who=who)
        except TooMuch as e:
            # it would be too much again
            log.info("%s of %s: %s", function, key[1:], e.detail)
            if lasting:
                self._made.put(key, e, size=1000)
            raise
        if lasting:
            self._made.put(key, made, size=len(made))
        return made


class _Kept:
    """What was made last, as far as it fits."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._made: OrderedDict[tuple[str, ...], tuple[bytes | Refusal, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[str, ...]) -> bytes | Refusal | None:
        with self._lock:
            if key not in self._made:
                return None
            self._made.move_to_end(key)
            return self._made[key][0]

    def put(self, key: tuple[str, ...], made: bytes | Refusal, *, size: int) -> None:
        with self._lock:
            self._size += size - self._made.pop(key, (b"", 0))[1]
            self._made[key] = (made, size)
            while self._size > self._most:
                self._size -= self._made.popitem(last=False)[1][1]
