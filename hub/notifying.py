"""Telling people that a run has ended: written down first, sent after, tried again, then dropped.

All of it in threads of its own: no run and no tick waits for a mail server. What was written down
is sent by the next service, if this one is killed; what this one has not come to write down, the
next one finds among the runs that have ended lately.
"""

import logging
import queue
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hub import metrics
from hub.batch import Batch
from hub.core import notification
from hub.core.notification import News, Notification
from hub.core.runs import OPEN_RUNS, Run
from hub.core.schedules import Outcome, Unrun
from hub.edge.spool import Spool
from hub.errors import Refusal, Unknown
from hub.telling import kind_of

log = logging.getLogger("madang.notifying")
_LOOK = 2.0  # seconds between two looks at what is to be tried again
_SENDERS = 4
_MOST = 200  # of one person, that are still to be sent
_LATELY = timedelta(days=2)  # for which a service may have been away
_KEPT = timedelta(days=7)  # for which it is known that one was sent; longer than that
Worded = Callable[[News], tuple[str, str, str]]


class Notifier:
    """Sends the notifications of one installation.

    Args:
        worded: news as (title, text, link).
    """

    def __init__(
        self, batch: Batch, worded: Worded,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = batch.broker.edges.store
        self._telling = batch.telling
        self._worded = worded
        self._clock = clock
        self._spool = Spool(batch.settings)
        self._ended: queue.SimpleQueue[Run | News] = queue.SimpleQueue()
        self._waiting: dict[str, Notification] = {}
        self._sending: dict[str, str] = {}  # person → id: one of each person at a time
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="madang-notifying", daemon=True)

    def start(self) -> None:
        """Begin; first with what an earlier service has left."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more; what is being sent, the next service sends again."""
        self._over.set()

    def ended(self, run: Run) -> None:
        """A run has ended. Never waits, never fails."""
        if run.notify:
            self._ended.put(run)

    def unrun(self, one: Unrun) -> None:
        """A slot of a schedule came to nothing; one that was skipped was to be. Never waits."""
        if one.schedule.notify and one.seen.outcome is not Outcome.SKIPPED:
            self._ended.put(notification.of_slot(one))

    @property
    def idle(self) -> bool:
        """Whether nothing is being sent just now."""
        return not self._sending

    # ---- looking ---------------------------------------------------------------------------

    def resume(self) -> None:
        """Take up what an earlier service has left, written down or not.

        Raises:
            Unavailable: the store does not answer.
        """
        self._waiting |= {x.id: x for x in self._spool.waiting()}
        since = self._clock() - _LATELY
        for run in self._store.runs(user=None, limit=sys.maxsize, ended_since=since):
            self.ended(run)
        for one in self._store.unrun(since, self._clock()):
            self.unrun(one)

    def look(self) -> None:
        """Write down what is new, and send what is due."""
        while not self._ended.empty():
            ended = self._ended.get()
            try:
                self._note(ended)
            except Exception:
                self._ended.put(ended)
                raise
        now = self._clock()
        with self._lock:
            due = sorted(
                (x for x in self._waiting.values() if x.next_at <= now), key=lambda x: x.next_at
            )
            for one in due:
                if len(self._sending) < _SENDERS and one.user not in self._sending:
                    self._sending[one.user] = one.id
                    threading.Thread(
                        target=self._send, args=(one,), name="madang-telling", daemon=True
                    ).start()

    def _note(self, ended: Run | News) -> None:
        of = (ended.input_id, ended.notify) if isinstance(ended, Run) else (
            ended.id, ended.targets
        )
        new = {x for x in notification.places(*of) if not self._knows(x)}
        news = self._news(ended) if new and isinstance(ended, Run) else ended
        if not new or not isinstance(news, News):
            return
        made = notification.made(news, *self._worded(news), self._clock())
        with self._lock:
            for one in (x for x in made if x.id in new):
                if sum(x.user == one.user for x in self._waiting.values()) < _MOST:
                    self._keep(one)
                else:
                    self._drop(one, "too many of this person wait")

    def _knows(self, id: str) -> bool:
        return id in self._waiting or self._spool.known(id)

    def _news(self, run: Run) -> News | None:
        """What there is to tell; of a sweep nothing before its last run has ended."""
        if not run.sweep:
            return notification.of_run(run)
        if self._store.runs(user=None, sweep=run.sweep, stages=OPEN_RUNS, limit=1):
            return None
        return notification.of_sweep(
            self._store.runs(user=None, sweep=run.sweep, limit=sys.maxsize)
        )

    def _keep(self, one: Notification) -> None:
        self._waiting[one.id] = one
        try:
            self._spool.put(one)
        except OSError as e:
            log.warning("notification %s is not on the disk: %s", one.id, e)

    # ---- sending ---------------------------------------------------------------------------

    def _send(self, one: Notification) -> None:
        after: Notification | None = None
        outcome, why = "dropped", ""
        try:
            target = self._telling.tell(one)
            outcome = "sent"
            log.info("notification %s of %s: sent to %s", one.id, one.user, target.shown)
        except Refusal as e:
            why = e.detail
        except Unknown as e:
            after, why = notification.again(one, self._clock()), str(e)
        except Exception as e:
            log.exception("notification %s of %s", one.id, one.user)
            after, why = notification.again(one, self._clock()), type(e).__name__
        with self._lock:
            if after is not None:
                outcome = "retried"
                log.info("notification %s of %s is tried again: %s", one.id, one.user, why)
                self._keep(after)
            elif outcome == "dropped":
                self._drop(one, why)
            else:
                self._finish(one)
            if outcome != "dropped":
                metrics.NOTIFICATIONS.labels(kind_of(one.target), outcome).inc()
            self._sending.pop(one.user, None)

    def _drop(self, one: Notification, why: str) -> None:
        log.warning("notification %s of %s is dropped: %s", one.id, one.user, why)
        metrics.NOTIFICATIONS.labels(kind_of(one.target), "dropped").inc()
        self._finish(one)

    def _finish(self, one: Notification) -> None:
        self._waiting.pop(one.id, None)
        self._spool.done(one.id)

    # ---- inside ----------------------------------------------------------------------------

    def _loop(self) -> None:
        resumed, pruned = False, datetime.min.replace(tzinfo=UTC)
        while not self._over.is_set():
            try:
                if not resumed:
                    self.resume()
                    resumed = True
                self.look()
                if self._clock() - pruned > timedelta(hours=1):
                    pruned = self._clock()
                    self._spool.prune(pruned - _KEPT)
            except Exception as e:  # noqa: BLE001 - as a tick: it outlives every fault, and says it
                log.warning("notifications wait: %s: %s", type(e).__name__, e)
            self._over.wait(_LOOK)
