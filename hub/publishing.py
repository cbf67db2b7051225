"""Courses: what is pushed is checked, becomes a release, and is shown to members.

A release is out when the store has it: its blobs lie there before, and what members read (their
repository, the read-only data, schedules) is made after; `recover` goes on where somebody was
killed in between.
"""

import json
import logging
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub import metrics
from hub.broker import Broker
from hub.core import accepted, coursefile, releases
from hub.core.accepted import Accepted
from hub.core.coursefile import About
from hub.core.courses import (
    COURSE_FILE,
    Author,
    Course,
    Problem,
    Release,
    check_course_name,
    is_course_name,
)
from hub.core.releases import Draft, Files, Given
from hub.courseschedules import CourseSchedules
from hub.edge.repo import MAIN, GitError, Put
from hub.errors import BadInput, NotFound, Refusal
from hub.shelf import Shelf, full, unstored

log = logging.getLogger("madang.courses")
_OWN = 0o700
_STALE = timedelta(days=2)  # after which a push that was taken and never came is forgotten
_LOOK = timedelta(minutes=1)  # between two looks for what should not lie there any more
_MESSAGE = 4000
_ASIDE = "refs/drafts/"  # hidden from those who push and fetch


class Publishing(Shelf):
    """The courses of one installation. Any number of threads and processes; one publishes at once.

    Args:
        schedules: where a course's own schedules go; without them they are left as they are.
    """

    def __init__(
        self, broker: Broker, schedules: CourseSchedules | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(broker)
        self.schedules = schedules
        self._clock = clock
        self._next: dict[str, datetime | None] = {}
        self._begun = False
        self._looked: datetime | None = None

    # ---- drafts ----------------------------------------------------------------------------

    def check(self, files: Mapping[str, bytes], author: Author, course: str) -> Draft:
        """What these files would become as the next release, and what is wrong with them.

        Raises:
            BadInput: no name of a course.
        """
        return self.checked(releases.check(Files(files), self.given(course, author)))

    def given(self, course: str, author: Author) -> Given:
        """What a check of a course has to know.

        Raises:
            BadInput: no name of a course.
        """
        there, last = self.store.course(check_course_name(course)), self.last(course)
        return Given(
            course=course, author=author, limits=self.limits, zone=self.settings.timezone,
            blob=self.blobs.get, before={x.path: x for x in last.files} if last else {},
            against=last.number if last else None, group=there.group if there else "",
            groups=frozenset(x.group for x in self.broker.members()),
        )

    def checked(self, draft: Draft) -> Draft:
        """The draft, and what is wrong with its schedules."""
        if self.schedules is None or not draft.ok:
            return draft
        assert draft.about is not None
        found = self.schedules.problem(draft.course, draft.about, draft.author, draft.content)
        if found is None:
            return draft
        problems = sorted((*draft.problems, found), key=lambda x: (x.path, x.line))
        return replace(draft, problems=tuple(problems))

    def problem_of(self, one: Accepted) -> Problem | None:
        """What is wrong with the schedules of a push that was found good else."""
        if self.schedules is None:
            return None
        about, known = coursefile.read(one.about.encode(), zone=one.zone), _blobs(one)
        return self.schedules.problem(
            one.course, about, one.author, lambda x: self.blobs.get(known[x])
        )

    # ---- publishing ------------------------------------------------------------------------

    def publish(self, draft: Draft, notes: str = "") -> Release:
        """Publish what was checked; it also becomes a commit, so that who clones has it.

        Raises:
            Refusal: it has problems, or somebody else has published meanwhile. Nothing is changed.
            Unavailable: the disk is full or the store does not answer.
        """
        if not draft.ok:
            raise Refusal(
                "This cannot be published: {count} problems have to be mended first.",
                reason="course", count=sum(x.fatal for x in draft.problems),
            )
        self._check_first(draft)
        made: dict[str, int] = {}
        try:
            for one in draft.files:
                self.blobs.put(draft.content(one.path), made)
            with self.alone(draft.course):
                # once more: another was published while this one waited for its turn
                self._check_first(draft)
                made.clear()  # from here on they may be a release's, whoever is killed
                commit = self._commit(draft, notes)
                return self._publish(draft.course, commit)
        except OSError as e:
            raise full(e) from e
        finally:
            self.blobs.take_back(made)

    def _check_first(self, draft: Draft) -> None:
        """Refuse where there is another release than the one that was compared with."""
        last = self.last(draft.course)
        tip = self.repo(draft.course).tip()
        # a push that is main's already and not out yet comes first, too
        if (last.number if last else None) != draft.against or (last and tip != last.commit):
            raise _faster()

    def accept(self, one: Accepted) -> None:
        """Keep what is needed to publish a commit: it is about to become main's.

        Raises:
            Unavailable: the disk is full.
        """
        path = self.pending(one.course, one.commit)
        try:
            path.parent.mkdir(mode=_OWN, parents=True, exist_ok=True)
            part = path.with_suffix(f".{secrets.token_hex(4)}")
            with part.open("w", encoding="utf-8") as file:
                json.dump(accepted.as_json(one), file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as e:
            raise full(e) from e

    def publish_commit(self, course: str, commit: str) -> Release:
        """Publish a commit that was accepted and is main's now; the release where it is out.

        Raises:
            Refusal: main has moved on, or nobody has accepted it.
            Unavailable: the store does not answer; `recover` tries again.
        """
        with self.alone(course):
            return self._publish(course, commit)

    def withdraw(self, name: str, number: int, by: str) -> Release:
        """Hand a release out to nobody any more; who has it keeps it, and its data with it.

        Raises:
            NotFound: there is none.
        """
        with self.alone(name):
            self.release(name, number)
            self.showing.forget(name)
            found = self.store.withdraw(name, number, by, self._clock())
            assert found is not None
            self._show(name)
            self.keep_data(name, self._clock())
        log.info("%s has withdrawn release %d of %s", by, number, name)
        return found

    def recover(self) -> None:
        """For `Recovering`: finish what was cut short, and show what has become visible.

        Raises:
            Exception: one course could not be; the others were.
        """
        now = self._clock()
        if not self._begun:
            for one in self.store.courses():
                self._next.setdefault(one.name, now)
            self._begun = True
        failed: list[Exception] = []
        self._look_after(now, failed)
        for path in sorted(self.root.glob("*/pending/*.json")):
            try:
                self._finish(path, now)
            except FileNotFoundError:  # the push itself has just finished it
                continue
            except Exception as e:  # noqa: BLE001 - one course's fault must not stop the others
                failed.append(e)
        for name in [k for k, at in list(self._next.items()) if at is not None and at <= now]:
            try:
                with self.alone(name):
                    self._show(name)
            except Exception as e:  # noqa: BLE001 - as above
                failed.append(e)
        if failed:
            raise failed[0]

    def _look_after(self, now: datetime, failed: list[Exception]) -> None:
        """What is done now and then; faults go to `failed`."""
        if self._looked is not None and now - self._looked < _LOOK:
            return
        self._looked = now
        self.sweep()
        failed += self.settle(now)

    def _finish(self, path: Path, now: datetime) -> None:
        course, commit = path.parent.parent.name, path.stem
        if not is_course_name(course):
            return
        if self.repo(course).tip() == commit:
            made = self.publish_commit(course, commit)
            log.info("release %d of %s is out, which was cut short", made.number, course)
        elif now.timestamp() - path.stat().st_mtime > _STALE.total_seconds():
            path.unlink(missing_ok=True)

    # ---- steps -----------------------------------------------------------------------------

    def _commit(self, draft: Draft, notes: str) -> str:
        """The commit on main that has what was sent."""
        repo, now = self.repo(draft.course), self._clock()
        repo.make()
        parent, aside = repo.tip(), f"{_ASIDE}{secrets.token_hex(8)}"
        sent = (
            Put(x.path, draft.tree.read(x.path), x.mode == "100755")
            for x in draft.tree.entries() if x.regular
        )
        try:
            for left in repo.refs():
                if left.startswith(_ASIDE):
                    repo.drop(left)  # whoever made it was killed
            commit = repo.commit(
                aside, sent, message=notes[:_MESSAGE] or "Published without git",
                who=draft.author.name, at=now, parent=parent,
            )
            self.accept(Accepted(
                course=draft.course, commit=commit, author=draft.author, notes=notes[:_MESSAGE],
                about=draft.tree.read(COURSE_FILE).decode("utf-8-sig"),
                zone=self.settings.timezone, files=draft.files,
            ))
            repo.move(MAIN, commit, parent)
        except GitError as e:
            if repo.tip() != parent:
                raise _faster() from e
            raise unstored(str(e)) from e
        finally:
            with suppress(GitError):
                repo.drop(aside)
        return commit

    def _publish(self, course: str, commit: str) -> Release:
        """Under the course's lock."""
        known = [x for x in self.store.releases(course) if x.commit == commit]
        path = self.pending(course, commit)
        try:
            one = accepted.of_json(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            if known:
                return known[0]
            raise NotFound(
                "This commit was not checked. Push it again, with another commit on top.",
                detail=f"{course}: {commit}",
            ) from None
        about = coursefile.read(one.about.encode(), zone=one.zone)
        made = known[0] if known else self._add(one, about)
        self._show(course)
        self._schedule(one, about)
        path.unlink(missing_ok=True)
        return made

    def _add(self, one: Accepted, about: About) -> Release:
        if self.repo(one.course).tip() != one.commit:
            raise Refusal(
                "Somebody else has pushed on top of this meanwhile: their release has your "
                "changes.", reason="published", status=409,
            )
        now = self._clock()
        made = self.store.add_release(
            Course(
                name=one.course, title=about.title, group=about.group, zone=about.zone,
                profile=about.profile, image=about.image, made_at=now, made_by=one.author.name,
            ),
            Release(one.course, 0, one.commit, one.author.name, now, one.notes, one.files),
        )
        metrics.COURSE_PUSHES.labels("published").inc()
        log.info("%s has published release %d of %s: %d files",
                 one.author.name, made.number, one.course, len(one.files))
        return made

    def _schedule(self, one: Accepted, about: About) -> None:
        if self.schedules is None:
            return
        known = _blobs(one)
        try:
            self.schedules.apply(
                one.course, about, one.author, lambda x: self.blobs.get(known[x])
            )
        except BadInput as e:
            # it was good when it was pushed: an image or a size has gone since
            metrics.TOLD.inc()
            log.error("the schedules of %s are left as they were: %s", one.course, e)  # noqa: TRY400

    def _show(self, name: str) -> None:
        """Members see what they may see now; and it is known when that will change."""
        now = self._clock()
        newest = self.store.newest(name)
        self.showing.show(name, newest, now)
        coming = [
            x.visible_from for x in (newest.files if newest else ())
            if x.visible_from is not None and x.visible_from > now
        ]
        self._next[name] = min(coming, default=None)


def _blobs(one: Accepted) -> dict[str, str]:
    return {x.path: x.sha256 for x in one.files}


def _faster() -> Refusal:
    return Refusal(
        "Somebody else has published this course just now. Look at their release, then publish "
        "again.", reason="published", status=409,
    )
