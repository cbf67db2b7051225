"""Handing in: at a deadline a folder of each student is copied, and feedback is laid back.

What was taken is kept as a file for each student on the hub's side: nobody changes it afterwards.
"""

import logging
import os
import secrets
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from hub import metrics
from hub.core import handingin
from hub.core.courses import Collection, Submission, folder_of
from hub.core.coursetree import Limits
from hub.core.handingin import Returned
from hub.core.names import safe_name
from hub.core.schedules import moment_of
from hub.errors import BadInput, NotFound, Refusal, Text, Unavailable
from hub.handedin import pieces_of
from hub.publishing import Publishing
from hub.returning import lay
from hub.unpacking import Sent, of_home

log = logging.getLogger("madang.courses")
# a submission's problem; whoever shows it knows it by these
NOTHING = "nothing was there"
TOO_LARGE = "it is larger than may be collected"
LEFT_OUT = "links, special files and files of others were left out"
UNREADABLE = "it could not be read"
_PATIENCE = 5.0  # seconds for what is being collected
_LOOK = 2.0  # seconds between two looks at the deadlines
_OWN, _LASTING = 0o700, 0o400


class Collecting:
    """Collections of one installation; deadlines are kept in a thread of its own."""

    def __init__(
        self, publishing: Publishing, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._publishing = publishing
        self._store = publishing.store
        self._homes = publishing.broker.edges.homes
        self._clock = clock
        most = publishing.settings.collect_mib << 20
        self._limits = Limits(file=most, total=most, files=publishing.settings.course_files)
        self._lock = threading.RLock()  # held while something is collected
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="madang-collecting", daemon=True)

    def start(self) -> None:
        """Begin to keep the deadlines."""
        self._thread.start()

    def stop(self) -> None:
        """Keep them no more; the next service goes on."""
        self._over.set()

    # ---- verbs -----------------------------------------------------------------------------

    def plan(self, course: str, name: str, path: str, due: str, by: str) -> Collection:
        """A collection, or other values for one whose deadline has not come.

        Args:
            path: a folder in the course's.
            due: local in the course's zone, “2026-12-01T18:00” or “18:00”; "" is now.

        Raises:
            NotFound: no such course.
            BadInput: no name, folder or time; or it was taken already.
        """
        found, now = self._publishing.course(course), self._clock()
        at = moment_of(due, found.zone, now) if due else now
        name, where = handingin.check_name(name), handingin.check_path(path)
        with self._alone():
            there = self._store.collection(course, name)
            if there is not None and (there.taken_at or self.submissions(there)):
                raise BadInput(
                    "{name} was collected already. Choose another name, or collect one student's "
                    "again.", reason="collection", status=409, name=name,
                )
            made = Collection(
                id=there.id if there else secrets.token_hex(8), course=course, name=name,
                path=where, due=at, made_by=by, made_at=now,
            )
            self._store.put_collection(made)
            log.info("course %s: %r is collected from %r at %s, for %r", course, name, path, at,
                     by)
            if not due:
                self._collect(made)
        return self.get(course, name)

    def again(self, course: str, name: str, user: str, by: str) -> Submission:
        """Take what one student has now, in place of what was taken; for who was let hand in late.

        Raises:
            NotFound: no such collection or student.
            BadInput: the deadline has not come; nothing can be taken, and what was stays.
        """
        found = self.get(course, name)
        if found.taken_at is None:
            raise BadInput("{name} is not collected yet.", reason="collection", status=409,
                           name=name)
        if user not in self.people(found.course):
            raise NotFound("There is no student {user} in this course.", user=repr(user[:60]))
        with self._alone():
            made = self._take(found, user)
            if made.problem not in ("", LEFT_OUT) and self._place(found, user).exists():
                raise BadInput(
                    "{user}: {why}. What was handed in before stays.", reason="collection",
                    status=409, user=user, why=Text(made.problem),
                )
            if (was := self.submissions(found, user).get(user)) is not None:
                made = replace(made, returned_at=was.returned_at)
            self._store.put_submissions([made])
        log.info("course %s: %r of %r was collected again, for %r", course, name, user, by)
        return made

    def drop(self, course: str, name: str, by: str) -> Collection:
        """Forget a collection whose deadline has not come.

        Raises:
            NotFound: no such collection.
            BadInput: it was taken: what students have handed in stays.
        """
        with self._alone():
            found = self.get(course, name)
            if found.taken_at is not None or self.submissions(found):
                raise BadInput(
                    "{name} was collected: what was handed in stays.", reason="collection",
                    status=409, name=name,
                )
            self._store.drop_collection(found.id)
        log.info("course %s: %r is not collected, for %r", course, name, by)
        return found

    def give_back(self, course: str, name: str, packed: bytes, by: str) -> list[Returned]:
        """Lay files into students' folders: `<student>/…` comes to `feedback/<name>/…`.

        Args:
            packed: a tar.gz.

        Raises:
            NotFound: no such collection.
            BadInput: no tar.gz, or a folder in it is nobody's; nothing is laid anywhere then.
            Refusal: too large.
        """
        found = self.get(course, name)
        sent = Sent(packed, self._limits)
        odd = [x.path for x in sent.entries() if not x.mode.startswith("100")]
        if odd:
            raise BadInput("{path} is no file.", reason="feedback", path=odd[0][:200])
        files = handingin.returned(
            (x.path for x in sent.entries()), found, self.people(found.course)
        )
        made = [lay(found, x, self._homes.path(x), sent, files[x], self._limits.file)
                for x in sorted(files)]
        with self._alone():
            now = self._clock()
            self._store.put_collection(replace(self.get(course, name), feedback_at=now))
            self._store.put_submissions([
                replace(there, returned_at=now) for x in made
                if x.files and (there := self.submissions(found, x.user).get(x.user))
                and (x.new or not there.returned_at)  # the same once more is no news
            ])
        log.info("course %s: feedback on %r to %d students, by %r", course, name, len(made), by)
        return made

    # ---- looking ---------------------------------------------------------------------------

    def get(self, course: str, name: str) -> Collection:
        """A collection.

        Raises:
            NotFound: there is none.
        """
        found = self._store.collection(course, name)
        if found is None:
            raise NotFound("The course {course} collects nothing by the name {name}.",
                           course=course, name=repr(name[:60]))
        return found

    def list(self, course: str) -> Sequence[Collection]:
        """The collections of a course, by deadline."""
        return self._store.collections(course)

    def people(self, course: str) -> Sequence[str]:
        """Of whom a course collects, by name."""
        group = self._publishing.course(course).group
        return handingin.who_hands_in(self._publishing.broker.members(), group)

    def submissions(self, found: Collection, user: str | None = None) -> Mapping[str, Submission]:
        """What was taken of each student, or of one."""
        return {x.user: x for x in self._store.submissions(found.id, user)}

    def archive(self, found: Collection) -> Generator[bytes, None, None]:
        """All that was handed in, in pieces: see `pieces_of`."""
        taken = self.submissions(found)
        return pieces_of(found, taken, partial(self._place, found), self._limits)

    # ---- the deadline ----------------------------------------------------------------------

    def look(self) -> None:
        """Take what is due.

        Raises:
            Unavailable: the disk is full, or the store does not answer; the next look goes on.
        """
        with self._lock:
            for found in self._store.collections_due(self._clock()):
                try:
                    self._collect(found)
                except Unavailable:
                    raise
                except Exception:  # one course's must not keep the others from being collected
                    log.exception("course %s: %r is collected later", found.course, found.name)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Not while something is being collected: no time and no name changes under it."""
        if not self._lock.acquire(timeout=_PATIENCE):
            raise Unavailable("Something is being collected just now. Try again in a minute.",
                              reason="busy")
        try:
            yield
        finally:
            self._lock.release()

    def _collect(self, found: Collection) -> None:
        """Of each student once: of whom it was taken before a kill, it is not taken again."""
        people, there = self.people(found.course), self.submissions(found)
        for user in people:
            if user not in there:
                kept = self._place(found, user)
                packed = kept.read_bytes() if kept.exists() else None
                self._store.put_submissions([self._take(found, user, packed)])
        self._store.put_collection(replace(found, taken_at=self._clock()))
        log.info("course %s: %r was collected of %d", found.course, found.name, len(people))

    def _take(self, found: Collection, user: str, kept: bytes | None = None) -> Submission:
        """`kept`: what was taken, and not written down, because the service was killed."""
        now, path = self._clock(), f"{folder_of(found.course)}/{found.path}"
        problem, packed, sent = "", kept or b"", None
        try:
            packed = packed or of_home(self._homes.path(user), path, self._limits)
            sent = Sent(packed, self._limits)
        except NotFound:
            problem = NOTHING
        except Refusal as e:
            problem = TOO_LARGE if e.reason == "too-large" else UNREADABLE
        except OSError as e:
            log.warning("the home of %r cannot be read: %s", user, e)
            problem = UNREADABLE
        if sent is not None and kept is None:
            self._keep(found, user, packed)
        entries = list(sent.entries()) if sent else []
        files = [x for x in entries if x.mode.startswith("100")]
        if len(files) < len(entries):
            problem = LEFT_OUT
        metrics.COLLECTED.labels("problem" if problem else "taken").inc()
        return Submission(found.id, user, len(files), sum(x.size for x in files), now, problem)

    def _keep(self, found: Collection, user: str, packed: bytes) -> None:
        folder = self._folder(found)
        part = folder / f".{secrets.token_hex(8)}"
        try:
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _LASTING)
            with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
                file.write(packed)
                file.flush()
                os.fsync(fd)
            part.replace(self._place(found, user))
        except OSError as e:
            part.unlink(missing_ok=True)
            raise Unavailable("What was handed in cannot be stored: {error}.", error=e) from e

    # ---- places ----------------------------------------------------------------------------

    def _folder(self, found: Collection) -> Path:
        folder = self._publishing.folder(found.course) / "collected" / found.id
        folder.mkdir(mode=_OWN, parents=True, exist_ok=True)
        return folder

    def _place(self, found: Collection, user: str) -> Path:
        return self._folder(found) / f"{safe_name(user)}.tar.gz"

    def _loop(self) -> None:
        while not self._over.wait(_LOOK):
            try:
                self.look()
            except Refusal as e:
                log.warning("what is due is collected later: %s", e.detail)
            except Exception:
                log.exception("what is due is not collected")
