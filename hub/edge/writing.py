"""Who writes when: the threads of this process in a line, several of them in one transaction.

A commit waits for the disk, often longer than a change takes. So who has made a change and finds
others in the line leaves the transaction open for them; the last one commits for all, and only then
all of them go on. What fails in one of them is undone alone.

Only `hub.edge.store` imports this.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import sqlalchemy as sa

from hub.core.nouns import State
from hub.edge import states
from hub.edge.database import WAIT, Database, told
from hub.edge.states import Kept
from hub.errors import Unavailable

# others may join for so many times as long as the last commit took: then commits take a tenth of
# the time where many write, and nobody waits for long for the sake of others
_TIMES = 10


class Turns:
    """One thread at a time, first come first served.

    Not a Lock: who lets that go and wants it again at once gets it, and others wait for long. And
    SQLite's own waiting is a poll.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._line: deque[tuple[int, threading.Lock]] = deque()
        self._owner: int | None = None

    def mine(self) -> bool:
        """Whether this thread has the turn."""
        return self._owner == threading.get_ident()

    def take(self) -> None:
        """Wait for the turn.

        Raises:
            Unavailable: it did not come in time.
        """
        me = threading.get_ident()
        with self._guard:
            if self._owner is None:
                self._owner = me
                return
            mine = (me, threading.Lock())
            mine[1].acquire()
            self._line.append(mine)
        try:
            mine[1].acquire(timeout=WAIT)
        finally:
            with self._guard:
                if mine in self._line:
                    self._line.remove(mine)
        if not self.mine():
            raise Unavailable("The database is busy; try again in a moment.", reason="busy")

    def hand_on(self) -> bool:
        """Whether somebody waited, who has the turn now."""
        with self._guard:
            if not self._line:
                return False
            self._owner, lock = self._line.popleft()
            lock.release()
            return True

    def end(self) -> None:
        """Let the turn go, to whoever waits."""
        with self._guard:
            self._owner = None
            if self._line:
                self._owner, lock = self._line.popleft()
                lock.release()


class Batch:
    """One write transaction that several threads use, one after the other.

    `state` is the state with what they changed. Whoever has the turn may `put`; when nobody follows
    it ends the transaction with `commit` or `undo`, and the others `wait` for that. `patience`:
    seconds for which others may join; after the commit, those for the next batch.
    """

    def __init__(
        self, database: Database, look: Callable[[sa.Connection], Kept], patience: float
    ) -> None:
        with ExitStack() as stack:
            self.connection = stack.enter_context(database.begin(write=True))
            self.before = look(self.connection)
            self._stack = stack.pop_all()
        self.state = self.before.state
        self._next = self.before.version
        self.patience = patience
        self._until = time.monotonic() + patience
        self._parts = 0
        self._broken = False
        self._over = threading.Event()
        self._error: BaseException | None = None

    @property
    def open(self) -> bool:
        """Whether one more may join."""
        return not self._broken and time.monotonic() < self._until

    @property
    def empty(self) -> bool:
        """Whether nobody has put anything that is still in it."""
        return self._broken or not self._parts

    def put(
        self, after: State, others: Callable[[sa.Connection], None], *, roster: bool = False
    ) -> None:
        """Write where `after` differs from `state`, and what `others` writes; all of it or nothing.

        `roster`: others change the members.
        """
        number = self.before.version.number + 1
        with self._part() as c:
            state, leads = states.save(c, self.state, after, number)
            others(c)
        self._parts += 1
        if state is not self.state or roster:
            self.state = state
            self._next = states.following(
                self.before.version, self._next, leads=leads, roster=roster,
            )

    @contextmanager
    def _part(self) -> Iterator[sa.Connection]:
        self._broken, c = True, self.connection  # until it is certain that it is not
        if self._parts:
            c.exec_driver_sql("SAVEPOINT part")
        try:
            yield c
        except BaseException:
            if self._parts:
                c.exec_driver_sql("ROLLBACK TO SAVEPOINT part")
                self._broken = False
            raise
        if self._parts:
            c.exec_driver_sql("RELEASE SAVEPOINT part")
        self._broken = False

    def commit(self, keep: Callable[[Kept], None]) -> None:
        """Commit for all; `keep` is given what was committed, before the others go on.

        Raises:
            Unavailable: the database did not take it; so does `wait` of the others.
        """
        try:
            with told():
                if self._next is not self.before.version:
                    states.advance(self.connection, self._next)
                began = time.monotonic()
                self._stack.close()
            self.patience = _TIMES * (time.monotonic() - began)
            keep(Kept(self._next, self.state))
        except BaseException as e:
            self.undo(e)
            raise
        self._over.set()

    def undo(self, error: BaseException) -> None:
        """Roll everything back; `error` is what the others are told."""
        self._error = error
        with suppress(Exception):  # it is what `error` says, in the words of the driver
            self._stack.__exit__(type(error), error, error.__traceback__)
        self._over.set()

    def wait(self) -> None:
        """Until it is committed.

        Raises:
            Unavailable: it could not be; nothing was changed.
        """
        self._over.wait()
        if self._error is not None:
            raise self._error
