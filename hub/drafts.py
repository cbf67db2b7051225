"""Drafts of courses: what would be handed out, looked at, run once, and then published.

A draft is kept packed as it was sent, for a day; what it would become is worked out anew each time
it is looked at, against the release that is the newest then.
"""

import json
import logging
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from hub import unpacking
from hub.batch import Batch
from hub.core import releases
from hub.core.compare import Comparison
from hub.core.courses import Author, Release, check_course_name
from hub.core.coursetree import Entry
from hub.core.releases import Draft, Files, parsed
from hub.core.runs import Run, Submission
from hub.errors import BadInput, NotFound, Refusal, Unavailable
from hub.publishing import Publishing
from hub.reports import Reports

log = logging.getLogger("madang.drafts")
_KEPT = timedelta(days=1)
_OF_ONE = 5  # drafts of one person; the oldest goes
_ID = re.compile(r"[0-9a-f]{16}")
_AT_ONCE, _CROWD = 2, 16  # drafts in memory; who has one there and who waits, together
_WAIT = 20.0  # seconds
_TREE, _CARD = "tree.tar.gz", "draft.json"


@dataclass(frozen=True)
class Card:
    """What is kept of a draft beside its tree. `checks`: notebook → its run."""

    id: str
    by: str
    course: str
    made_at: datetime
    checks: Mapping[str, str] = field(default_factory=dict)

    @property
    def until(self) -> datetime:
        """Until when it is kept."""
        return self.made_at + _KEPT


class Drafts:
    """Drafts of everybody, each for its author alone. Safe from many threads."""

    def __init__(
        self, publishing: Publishing, batch: Batch, reports: Reports,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.publishing = publishing
        self._batch = batch
        self._reports = reports
        self._clock = clock
        self._root = batch.settings.data / "courses" / ".drafts"
        self._homes = batch.broker.edges.homes
        # a course is in memory as a whole: not for many at once
        self._turn = threading.BoundedSemaphore(_AT_ONCE)
        self._crowd = 0
        self._change = threading.Lock()

    # ---- making ----------------------------------------------------------------------------

    def of_archive(self, author: Author, course: str, packed: bytes) -> tuple[Card, Draft]:
        """A draft of what somebody sent, a tar.gz.

        Raises:
            BadInput: no name for a course; reason "snapshot": it is none.
            Refusal: 413: too large.
        """
        check_course_name(course)
        most = self._batch.settings.snapshot_mib
        if len(packed) > most << 20:
            raise Refusal(
                "The folder has more than {most} MiB, packed. Push it with git.",
                reason="too-large", status=413, most=most,
            )
        with self._held():
            return self._made(author, course, packed)

    def of_folder(self, author: Author, course: str, path: str) -> tuple[Card, Draft]:
        """A draft of a folder of the author's home, as it is now; `course` "" is its name.

        Raises:
            NotFound: there is no such folder.
            BadInput, Refusal: as `of_archive`.
        """
        name = check_course_name(course or PurePosixPath(path).name)
        with self._held():
            home = self._homes.path(author.name)
            return self._made(author, name, unpacking.of_home(
                home, path, self.publishing.limits
            ))

    def _made(self, author: Author, course: str, packed: bytes) -> tuple[Card, Draft]:
        # before it is kept: what is no archive is refused
        draft = self._draft(packed, author, course)
        card = Card(secrets.token_hex(8), author.name, course, self._clock())
        self.prune(author.name)
        folder = self._root / card.id
        try:
            folder.mkdir(parents=True, mode=0o700)
            (folder / _TREE).write_bytes(packed)
            self._write(card)
        except OSError as e:
            shutil.rmtree(folder, ignore_errors=True)
            raise Unavailable("The draft cannot be kept: {error}.", error=e.strerror or e) from e
        return card, _light(draft)

    # ---- looking ---------------------------------------------------------------------------

    def card(self, id: str, author: Author) -> Card:
        """What is kept of a draft beside its tree.

        Raises:
            NotFound: none, somebody else's, or it is kept no more.
        """
        found = _read(self._root / id / _CARD) if _ID.fullmatch(id) else None
        if found is None or found.by != author.name or found.until <= self._clock():
            raise _gone(id)
        return found

    def get(self, id: str, author: Author) -> tuple[Card, Draft]:
        """A draft, and what it would become now; without the bytes of its files.

        Raises:
            NotFound: as `card`.
            Refusal: 429, too many look at drafts.
        """
        with self._opened(id, author) as (card, draft):
            return card, _light(draft)

    def compare(self, id: str, author: Author, path: str) -> Comparison:
        """What is new in a file, against the newest release.

        Raises:
            NotFound: no such draft or file.
            Refusal: 429 as `get`; see `Aside.call`.
        """
        with self._opened(id, author) as (_, draft):
            before, now = draft.before.get(path), {x.path: x for x in draft.files}.get(path)
            if before is None and now is None:
                raise NotFound("There is no file {path} in this draft.", path=path[:200])
            old = self.publishing.blob(before.sha256) if before else b""
            new = draft.content(path) if now else b""
            notebook = all(x.notebook for x in (before, now) if x)
            return self._reports.beside(old, new, author.name, notebooks=notebook)

    # ---- running its notebooks -------------------------------------------------------------

    def check(self, id: str, author: Author, *, profile: str = "", image: str = "") -> Card:
        """Run every notebook in a copy of the whole course; `checks` then has the runs.

        Raises:
            BadInput: nothing to run, no size, or what `Batch.submit` refuses.
        """
        with self._opened(id, author) as (_, draft):
            books = [x.path for x in draft.files if x.notebook]
            about = draft.about
            if about is None or not books:
                raise BadInput("There is no notebook to run in this draft.", reason="bad-request")
            size = profile or about.profile
            if not size:
                raise BadInput(
                    "Say on which size of slice: course.toml names none.", reason="unknown-profile"
                )
            made = self._submit(draft, books, size, image or about.image)
        return self._write(replace(self.card(id, author), checks=made))

    def _submit(
        self, draft: Draft, books: Sequence[str], size: str, image: str
    ) -> dict[str, str]:
        """Notebook → its run; all of them or none."""
        copy = unpacking.packed(_files(draft))
        made: dict[str, str] = {}
        try:
            for path in books:
                made[path] = self._batch.submit(_submission(draft, path, size, image, copy)).id
        except Refusal:
            for run in made.values():
                self._batch.cancel(run, draft.author.name)
            raise
        return made

    def checks(self, id: str, author: Author) -> dict[str, Run]:
        """Notebook → its run; without those that are kept no more."""
        card = self.card(id, author)
        found = self._batch.of_ids(tuple(card.checks.values()))
        return {k: found[x] for k, x in card.checks.items() if x in found}

    # ---- publishing ------------------------------------------------------------------------

    def publish(
        self, id: str, author: Author, notes: str, *, against: int | None = None
    ) -> Release:
        """The draft as the next release; it is gone then.

        Args:
            against: the release that the author has seen it against.

        Raises:
            Refusal: it has a problem that is fatal; another release has come since (409).
        """
        with self._opened(id, author) as (_, draft):
            if against is not None and against != (draft.against or 0):
                raise Refusal(
                    "Somebody else has published this course just now. Look at their release, then "
                    "publish again.", reason="published", status=409,
                )
            made = self.publishing.publish(draft, notes)
        self.forget(id, author)
        return made

    def forget(self, id: str, author: Author) -> None:
        """Drop a draft; its runs go on."""
        shutil.rmtree(self._root / self.card(id, author).id, ignore_errors=True)

    def prune(self, making: str = "") -> None:
        """Drop what is older than a day; of who makes a new one, the oldest beyond five."""
        now, own = self._clock(), list[Card]()
        for card in sorted(self._every(), key=lambda x: x.made_at):
            if card.until <= now:
                shutil.rmtree(self._root / card.id, ignore_errors=True)
            elif card.by == making:
                own.append(card)
        for card in own[:max(0, len(own) - _OF_ONE + 1)]:
            shutil.rmtree(self._root / card.id, ignore_errors=True)

    # ---- inside ----------------------------------------------------------------------------

    @contextmanager
    def _opened(self, id: str, author: Author) -> Iterator[tuple[Card, Draft]]:
        """A draft with all its files, for the time of a turn."""
        card = self.card(id, author)
        with self._held():
            try:
                packed = (self._root / card.id / _TREE).read_bytes()
            except FileNotFoundError as e:
                raise _gone(id) from e
            yield card, self._draft(packed, author, card.course)

    @contextmanager
    def _held(self) -> Iterator[None]:
        """A turn: for as long as a course is in memory. Who waits has a thread of the service."""
        with self._change:
            if self._crowd >= _CROWD:
                raise _busy()
            self._crowd += 1
        try:
            if not self._turn.acquire(timeout=_WAIT):
                raise _busy()
            try:
                yield
            finally:
                self._turn.release()
        finally:
            with self._change:
                self._crowd -= 1

    def _draft(self, packed: bytes, author: Author, course: str) -> Draft:
        tree = unpacking.Sent(packed, self.publishing.limits)
        return self.publishing.checked(
            releases.check(tree, self.publishing.given(course, author))
        )

    def _every(self) -> Iterator[Card]:
        for path in self._root.glob(f"*/{_CARD}"):
            if (found := _read(path)) is not None:
                yield found

    def _write(self, card: Card) -> Card:
        path = self._root / card.id / _CARD
        text = json.dumps(asdict(card) | {"made_at": card.made_at.isoformat()})
        with self._change:
            part = path.with_suffix(".part")
            part.write_text(text)
            part.replace(path)
        return card


def _read(path: Path) -> Card | None:
    try:
        found = json.loads(path.read_text())
        return Card(**found | {"made_at": datetime.fromisoformat(found["made_at"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as e:
        log.warning("a draft cannot be read, and is left: %s: %s", path, e)
        return None


def _files(draft: Draft) -> Iterator[tuple[Entry, bytes]]:
    for one in draft.files:
        mode = "100755" if one.executable else "100644"
        yield Entry(one.path, mode, one.size), draft.content(one.path)


def _submission(
    draft: Draft, path: str, profile: str, image: str, snapshot: bytes
) -> Submission:
    where = PurePosixPath(path).parent
    return Submission(
        user=draft.author.name, name=f"{draft.course}/{path}", notebook=parsed(draft.content(path)),
        parameters={}, profile=profile, image=image, snapshot=snapshot,
        cwd="" if where == PurePosixPath() else str(where),
        group=draft.about.group if draft.about else "",
    )


def _light(draft: Draft) -> Draft:
    """The same without the bytes of its files, which are many, and are held by whoever has it."""
    return replace(draft, tree=Files({}), changed={})


def _busy() -> Refusal:
    return Refusal(
        "Many drafts of courses are being looked at just now. Try again in half a minute.",
        reason="busy", status=429,
    )


def _gone(id: str) -> NotFound:
    return NotFound(
        "There is no draft {id}: it is kept for a day. Make a new one.", id=id[:40]
    )
