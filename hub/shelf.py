"""Where courses are kept, and what there is of them."""

import fcntl
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from hub.broker import Broker
from hub.core import roster
from hub.core.courses import Course, Release, check_course_name, is_course_name
from hub.edge.blobs import Blobs
from hub.edge.courserows import CourseStore
from hub.edge.repo import Backend, Repo
from hub.errors import NotFound
from hub.showing import Showing

_OWN = 0o700


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
        self._inside: Counter[str] = Counter()
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

    def newest(self, name: str) -> Release | None:
        """The newest release that is not withdrawn."""
        return self.store.newest(name)

    def blob(self, sha256: str) -> bytes:
        """A file's bytes.

        Raises:
            Unavailable: they are gone.
        """
        return self.blobs.get(sha256)

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
        with self._entering:
            if not push and not repo.there:
                repo = self.nothing()
            repo.make()
            self._inside[name] += 1
        return repo

    def leave(self, name: str) -> None:
        """A request is over. A first push that was refused leaves no repository behind.

        Not while another request is under way: git asks once before it sends much.
        """
        with self._entering:
            self._inside[name] -= 1
            if self._inside[name] <= 0:
                del self._inside[name]
                self._forget_empty(name)

    def _forget_empty(self, name: str) -> None:
        repo = self.repo(name)
        if not repo.there or self.store.course(name) is not None:
            return
        with self.alone(name):
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
    def alone(self, course: str) -> Iterator[None]:
        """One publisher of a course at a time, over all processes."""
        folder = self.folder(course)
        self.root.mkdir(mode=_OWN, parents=True, exist_ok=True)
        self.root.chmod(_OWN)
        folder.mkdir(mode=_OWN, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
