"""Where courses are kept, and what there is of them."""

import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from hub.broker import Broker
from hub.core import roster
from hub.core.courses import Course, Release, check_course_name, is_course_name
from hub.core.coursetree import Limits
from hub.edge.blobs import Blobs
from hub.edge.courserows import CourseStore
from hub.edge.locks import Busy, held
from hub.edge.repo import Backend, Repo
from hub.errors import NotFound, Text, Unavailable
from hub.showing import Showing, unstored

__all__ = ["Shelf", "full", "unstored"]
_OWN = 0o700
_HOUR = 3600.0
_WAIT = 30.0  # seconds for another publisher of the same course
_BUSY = Text("Something is being published in this course just now. Try again in a minute.")


@dataclass
class _Turn:
    """Requests of git to one course: how many are inside, and who asks to enter or leave."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    inside: int = 0
    asked: int = 0


class Shelf:
    """The courses of one installation, to look at."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.settings = broker.settings
        self.root = broker.settings.data / "courses"
        self.hooks = self.root / ".hooks"
        self.blobs = Blobs(self.root / ".blobs")
        self.store = CourseStore(broker.edges.store)
        self._entering = threading.Lock()
        self._turns: dict[str, _Turn] = {}
        self._swept = float("-inf")
        self._settled: dict[str, object] = {}
        self.showing = Showing(self.root, broker.settings.data / "coursedata", self.blobs)

    # ---- looking ---------------------------------------------------------------------------

    def courses(self, user: str | None = None) -> list[Course]:
        """The courses by name; `user`: those of that person's groups."""
        if user is None:
            return self.store.courses()
        return self.store.courses(set(roster.groups_of(self.broker.members(), user)))

    def course(self, name: str) -> Course:
        """A course.

        Raises:
            NotFound: there is none.
        """
        found = self.store.course(name) if is_course_name(name) else None
        if found is None:
            raise NotFound("There is no course {name} that you may see.", name=repr(name[:60]))
        return found

    def releases(self, name: str) -> list[Release]:
        """All releases of a course, newest first, withdrawn ones too."""
        return self.store.releases(name)

    def release(self, name: str, number: int) -> Release:
        """One release.

        Raises:
            NotFound: there is none.
        """
        found = self.store.release(name, number)
        if found is None:
            raise NotFound(
                "The course {name} has no release {number}.", name=name, number=number
            )
        return found

    def last(self, name: str) -> Release | None:
        """The newest release, withdrawn or not."""
        found = self.store.releases(name)
        return found[0] if found else None

    def newest(self, name: str) -> Release | None:
        """The newest release that is not withdrawn."""
        return self.store.newest(name)

    def blob(self, sha256: str) -> bytes:
        """A file's bytes.

        Raises:
            Unavailable: they are gone.
        """
        return self.blobs.get(sha256)

    @property
    def limits(self) -> Limits:
        """The most that a course may have."""
        return Limits(
            file=self.settings.course_file_mib << 20, total=self.settings.course_mib << 20,
            files=self.settings.course_files, notebook=self.settings.notebook_mib << 20,
        )

    def repo(self, name: str) -> Repo:
        """What instructors push to; it need not be there yet."""
        return Repo(self.folder(name) / "repo.git")

    def enter(self, name: str, *, push: bool) -> Repo:
        """What an instructor's git reads and writes; `leave` comes after it.

        Args:
            push: make it where it is not there; else nothing stands for it.

        Raises:
            Unavailable: it cannot be made.
        """
        repo = self.repo(name)
        with self._turn(name) as turn:
            if not push and not repo.there:
                repo = self.nothing()
            repo.make()
            turn.inside += 1
        return repo

    def leave(self, name: str) -> None:
        """A request is over. A first push that was refused leaves no repository behind.

        Not while another request is under way: git asks once before it sends much.
        """
        with self._turn(name) as turn:
            turn.inside -= 1
            if turn.inside <= 0:
                self.repo(name).forget_unfinished()
                self._forget_empty(name)

    @contextmanager
    def _turn(self, name: str) -> Iterator[_Turn]:
        """One enters or leaves a course at a time; another course waits for nobody."""
        with self._entering:
            turn = self._turns.setdefault(name, _Turn())
            turn.asked += 1
        try:
            with turn.lock:
                yield turn
        finally:
            with self._entering:
                turn.asked -= 1
                if not turn.asked and turn.inside <= 0:
                    del self._turns[name]

    def _forget_empty(self, name: str) -> None:
        repo = self.repo(name)
        if not repo.there or self.store.course(name) is not None:
            return
        with suppress(Busy), self.alone(name, wait=0):  # else somebody publishes it
            pending = list(self.folder(name).glob("pending/*"))
            if self.store.course(name) is None and not pending and not repo.refs():
                shutil.rmtree(repo.path)

    def nothing(self) -> Repo:
        """A repository with nothing in it, for a course that has none yet."""
        return Repo(self.root / ".nothing.git")

    async def backend(
        self, repo: Path, service: str, *, request: Mapping[str, str], more: Mapping[str, str],
        keep: Sequence[int],
    ) -> Backend:
        """Git for one request over HTTP; see `Backend.start`.

        Raises:
            GitError: it does not start.
        """
        return await Backend.start(
            repo, service, request=request, hooks=self.hooks, mib=self.settings.course_mib,
            more=more, keep=keep,
        )

    def members_repo(self, name: str) -> Repo:
        """What members may read."""
        return self.showing.repo(name)

    # ---- clearing away ---------------------------------------------------------------------

    def settle(self, now: datetime) -> list[Exception]:
        """`keep_data` wherever others may have links than at the last look; what went wrong."""
        tops, stood = self.store.standing()
        members, failed = self.broker.members(), list[Exception]()
        for top in tops:
            seen = (
                self.store.withdrawn(top.course),
                {x.name for x in members if x.group == top.group},
                {x for x in stood.values() if x.course == top.course},
            )
            if not seen[0] or self._settled.get(top.course) == seen:
                continue
            try:
                with self.alone(top.course):
                    self.keep_data(top.course, now)
                self._settled[top.course] = seen
            except Exception as e:  # noqa: BLE001 - one course's fault must not stop the others
                failed.append(e)
        return failed

    def keep_data(self, name: str, now: datetime) -> None:
        """Of withdrawn releases keep the read-only data of those to which a member has links.

        Under the course's lock. Somebody may be given links while a release is withdrawn, or by an
        undo afterwards: what was taken away is laid out again then.

        Raises:
            Unavailable: it cannot be.
        """
        group, there = self.course(name).group, self.showing.numbers(name)
        members = {x.name for x in self.broker.members() if x.group == group}
        try:
            for number in self.store.withdrawn(name):
                if not members.isdisjoint(self.store.linked(name, number)):
                    release = self.release(name, number)
                    self.showing.lay_out(name, release, release.visible(now))
                elif number in there:
                    self.showing.take_away(name, number)
        except OSError as e:
            raise unstored(f"{name}: {e}") from e

    def sweep(self) -> None:
        """Remove what those who were killed have left; at first, and then every hour."""
        if time.monotonic() - self._swept < _HOUR:
            return
        self._swept = time.monotonic()
        before = time.time() - _HOUR  # no request takes so long
        for path in self.root.glob("*/*.git"):
            Repo(path).sweep(before)
        self.blobs.sweep(before)
        self.showing.sweep()

    # ---- places ----------------------------------------------------------------------------

    def folder(self, course: str) -> Path:
        """Where a course is kept.

        Raises:
            BadInput: no name of a course.
        """
        return self.root / check_course_name(course)

    def pending(self, course: str, commit: str) -> Path:
        """Where a push is kept that was taken and is not out yet."""
        if not commit.isalnum():
            raise ValueError(f"no commit: {commit!r}")
        return self.folder(course) / "pending" / f"{commit}.json"

    @contextmanager
    def alone(self, course: str, *, wait: float | None = None) -> Iterator[None]:
        """One publisher of a course at a time, over all processes.

        Raises:
            Busy: there is one, for `wait` seconds, else for thirty.
        """
        folder = self.folder(course)
        self.root.mkdir(mode=_OWN, parents=True, exist_ok=True)
        self.root.chmod(_OWN)
        folder.mkdir(mode=_OWN, exist_ok=True)
        with held(folder / "lock", _WAIT if wait is None else wait, _BUSY):
            yield


def full(error: OSError) -> Unavailable:
    """A disk that keeps no more."""
    return Unavailable(
        "The course cannot be stored: {error}. Please tell the operator.", reason="course",
        error=error.strerror or "the disk",
    )
