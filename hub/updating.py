"""One update of one student's folder: what each file needs, then all of it done."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256

from hub.core import handingout
from hub.core.courses import (
    BaseFact,
    CellChange,
    CellFate,
    Fate,
    FileFact,
    FileFate,
    Student,
    data_path,
)
from hub.core.handingout import Act, Ask, Decision, Mine
from hub.edge.folders import Changed, Folder, Odd, Seen, beside
from hub.errors import BadInput, Refusal, Text
from hub.merging import Merging, NotMerged
from hub.placing import LINK, Journal, Step, carry_out, code_of

log = logging.getLogger("madang.courses")
BACKUPS = ".course-backup"
BESIDE = ("new", "new-2", "new-3", "new-4")
_TWICE = 50  # backups of one file for one release
_HELD_MOST = 128 << 20  # bytes; a student can fill every notebook to the limit
_SOURCE = 4000  # characters of a cell
_OTHER_MOST = 64 << 20  # bytes of a file that is no notebook: more is the student's for certain
# cells with something of the student's in them
_THEIRS = frozenset({
    CellChange.KEPT, CellChange.BESIDE, CellChange.LINE_MERGED, CellChange.REMOVED_KEPT,
    CellChange.DELETED_SHOWN,
})


@dataclass(frozen=True)
class Place:
    """Where an update works, and what it needs for it."""

    folder: Folder
    merging: Merging
    blob: Callable[[str], bytes]
    notebook_most: int


@dataclass
class Update:
    """What is planned of one update; `carry_out` does it."""

    place: Place
    student: Student
    ask: Ask
    fates: dict[str, FileFate] = field(default_factory=dict)
    bases: dict[str, BaseFact] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    mains: dict[str, str] = field(default_factory=dict)  # what lies beside → beside which file
    held: int = 0  # bytes of notebooks that wait in memory to be written
    backups: dict[str, bytes] = field(default_factory=dict)

    # ---- planning ------------------------------------------------------------------------------

    def plan(self, new: Mapping[str, FileFact]) -> None:
        """Look at every file of the release, and at every one that was given before."""
        taken = frozenset(new)
        for path in handingout.paths(self.student, new):
            self._one(path, self.student.bases.get(path), new.get(path), taken)

    def fresh(self, fact: FileFact, release: int) -> None:
        """One file as this release has it, whatever the student has.

        Raises:
            Refusal: what stands there cannot be kept.
        """
        most = max(self.place.notebook_most, _OTHER_MOST, 2 * fact.size)
        seen = self.place.folder.read(fact.path, most, guard=True)
        if seen.kind in ("odd", "folder"):
            raise Refusal(
                "{path} cannot be replaced: {why} Move it away, then ask again.",
                reason="course-file", status=409, path=fact.path,
                why=handingout.why_odd(seen.problem or seen.kind),
            )
        base = BaseFact(fact.path, fact.sha256, fact.sha256)
        if fact.data:
            target = str(data_path(self.ask.course, release, fact.path))
            self._step(fact.path, seen, f"{LINK}{target}")
            base = replace(base, written=f"{LINK}{target}")
        else:
            self._step(fact.path, seen, fact.sha256, executable=fact.executable)
        if seen.kind == "file" and seen.sha256 != fact.sha256:
            self.backups[fact.path] = seen.content
        note = Text("A fresh copy; yours lies in {folder}.", folder=self.backup_folder) if (
            fact.path in self.backups) else ""
        if self.steps:
            fate = Fate.UPDATED if note else Fate.NEW
            self.fates[fact.path] = FileFate(fact.path, fate, note=note)
        self.bases = {**self.student.bases, fact.path: base}

    @property
    def backup_folder(self) -> str:
        """Where the student finds what was replaced, in the course's folder."""
        return f"{BACKUPS}/{self.ask.release}"

    def _one(
        self, path: str, base: BaseFact | None, fact: FileFact | None, taken: frozenset[str]
    ) -> None:
        if self._settled(base, fact):
            assert base is not None
            self.bases[path] = base
            return
        seen = self._read(path, fact)
        mine = Mine(seen.kind, seen.sha256, seen.problem, seen.target)
        made = handingout.decide(self.ask, base, fact, mine)
        if made.act is Act.MERGE:
            assert fact is not None
            made = self._merge(base, fact, seen) or made
        elif made.act is Act.WRITE:
            assert fact is not None
            self._step(path, seen, fact.sha256, executable=fact.executable)
        elif made.act is Act.LINK:
            assert made.base is not None
            self._step(path, seen, made.base.written)
        elif made.act is Act.REMOVE:
            self._step(path, seen, "")
        name = ""
        if made.act is Act.BESIDE:
            assert fact is not None
            name = self._beside(base, fact, taken)
            if name in self.steps:
                self.mains[name] = path
            if made.base == base and name not in self.steps:
                made = replace(made, fate="")  # told before, and still so
        elif base and base.beside and not (made.base and made.base.beside):
            self._drop_beside(base, taken)
        self._note(path, made, name)

    def _settled(self, base: BaseFact | None, fact: FileFact | None) -> bool:
        """Whether nothing can be new: pictures and the like are not read for that."""
        return (
            base is not None and fact is not None and not fact.notebook and not fact.data
            and base.sha256 == fact.sha256 and not handingout.is_data(base)
        )

    def _note(self, path: str, made: Decision, name: str) -> None:
        if made.base is not None:
            self.bases[path] = made.base
        if made.fate and path not in self.fates:
            self.fates[path] = FileFate(path, made.fate, beside=name, note=made.note)

    def _merge(
        self, base: BaseFact | None, fact: FileFact, seen: Seen
    ) -> Decision | None:
        """What is known afterwards; the fate is noted here, with its cells."""
        try:
            made = self.place.merging.merged(
                base.sha256 if base and not handingout.is_data(base) else "", fact.sha256,
                seen.content, self.ask.release, self.student.user,
            )
        except NotMerged as e:
            mine = Mine(seen.kind, seen.sha256)
            return handingout.set_beside(base, fact, mine, e.problem)
        digest = sha256(made.content).hexdigest()
        given = handingout.merged(fact.path, fact.sha256, digest)
        if digest != seen.sha256:
            self.held += len(seen.content) + len(made.content)
            if self.held > _HELD_MOST and self.steps:
                return Decision(Act.NOTHING, Fate.WAITING, base)  # the next update goes on
            self._step(fact.path, seen, digest, content=made.content)
            self.backups[fact.path] = seen.content
        theirs = any(x.fate in _THEIRS for x in made.cells)
        fate = (
            Fate.BESIDE if made.conflicts else Fate.MERGED if theirs
            else Fate.UPDATED if digest != seen.sha256 else Fate.KEPT
        )
        self.fates[fact.path] = FileFate(fact.path, fate, tuple(map(_shortened, made.cells)))
        return Decision(Act.MERGE, "", given)

    # ---- what lies beside ----------------------------------------------------------------------

    def _beside(self, base: BaseFact | None, fact: FileFact, taken: frozenset[str]) -> str:
        """Lay the new version beside; under the same name as the one before, which it replaces.

        One that the student has changed stays, and so does whatever else has that name.
        """
        ours = {"", fact.sha256, base.beside if base else ""}
        for mark in BESIDE:
            name = beside(fact.path, mark)
            if name in taken:
                continue
            seen = self._read(name, fact)
            if seen.problem == "way":
                return ""
            if code_of(seen) in ours:
                self._step(name, seen, fact.sha256, executable=fact.executable)
                return name
        return ""

    def _drop_beside(self, base: BaseFact, taken: frozenset[str]) -> None:
        """It is not needed any more; one that the student changed stays."""
        for mark in BESIDE:
            name = beside(base.path, mark)
            if name in taken:
                continue
            seen = self._read(name, None)
            if seen.kind == "absent":
                return
            if seen.sha256 == base.beside:
                self._step(name, seen, "")

    # ---- steps ---------------------------------------------------------------------------------

    def _read(self, path: str, fact: FileFact | None) -> Seen:
        most = self.place.notebook_most
        if fact is None or not fact.notebook:
            most = max(_OTHER_MOST, 2 * fact.size if fact else 0)
        keep = fact is None or fact.notebook
        return self.place.folder.read(path, most, keep=keep, guard=True)

    def _step(
        self, path: str, seen: Seen, after: str, *, content: bytes | None = None,
        executable: bool = False,
    ) -> None:
        before = code_of(seen)
        if before == after:
            return
        old = None
        if seen.kind == "file" and before not in self._blobs:
            # a large one is not kept in memory before it is known to be needed
            old = seen.content or self.place.folder.read(path, seen.size).content
        self.steps[path] = Step(path, seen, after, content, old, executable)

    @cached_property
    def _blobs(self) -> frozenset[str]:
        """What was given before is kept as blobs."""
        bases = self.student.bases.values()
        return frozenset({x.sha256 for x in bases} | {x.beside for x in bases})

    # ---- doing ---------------------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        """Whether all there is to tell is that files are open."""
        return bool(self.fates) and not self.steps and all(
            x.fate in (Fate.WAITING, Fate.KEPT) for x in self.fates.values()
        )

    @property
    def told(self) -> tuple[FileFate, ...]:
        """What is told of it; that files are the student's, only beside something else."""
        found = tuple(self.fates[x] for x in sorted(self.fates))
        return found if any(x.fate != Fate.KEPT for x in found) else ()

    def carry_out(self, journal: Journal, update: int, wanted: str) -> None:
        """Write it down, back up, do it.

        Raises:
            Unavailable: the disk is full; the next update goes on where this one was cut short.
        """
        if self.steps or self.told:  # also one that only says what stays: it can be undone too
            journal.write(update, self.steps.values(), wanted=wanted)
        self._back_up()
        failed = carry_out(self.place.folder, self.steps.values(), self._content)
        if failed:
            self._without(failed)
            journal.write(update, self.steps.values(), wanted=wanted)

    def _content(self, code: str) -> bytes:
        return self.place.blob(code)

    def _without(self, failed: Mapping[str, str]) -> None:
        """What the student was faster with waits; what has no way is left."""
        for path, problem in failed.items():
            del self.steps[path]
            if path in self.mains:
                # the new one does not lie there: the file is as if it had not been looked at
                self._not_given(self.mains[path])
                continue
            if path not in self.fates and path not in self.bases:
                continue  # something beside that was to go
            old, wanted = self.student.bases.get(path), self.bases.pop(path, None)
            changing = problem == "changing"
            if wanted is None and not changing:
                # it was to be removed, and cannot be: it is the student's from now on
                self.fates[path] = FileFate(path, Fate.REMOVED_KEPT)
                continue
            if old is not None:
                self.bases[path] = old
            if not changing and wanted is not None:
                # told once, and tried again when somebody asks for it
                known = old or BaseFact(path, "", "")
                self.bases[path] = replace(known, beside=wanted.sha256)
            fate = Fate.WAITING if changing else Fate.ODD
            self.fates[path] = FileFate(path, fate, note=handingout.why_odd(problem))

    def _not_given(self, path: str) -> None:
        old = self.student.bases.get(path)
        self.bases.pop(path, None)
        if old is not None:
            self.bases[path] = old
        self.fates[path] = FileFate(
            path, Fate.WAITING, note=handingout.why_odd("changing")
        )

    def _back_up(self) -> None:
        """For whoever looks in Lab; the hub has its own."""
        for path, content in self.backups.items():
            try:
                keep_copy(
                    self.place.folder, self.backup_folder, path, content, lasting=False
                )
            except (Odd, Changed, BadInput) as e:
                log.info("%s: no copy of %s in the home: %r", self.student.user, path, e)


def _shortened(cell: CellFate) -> CellFate:
    """What is kept of it for every student: sources only where the student's are concerned."""
    if cell.fate not in _THEIRS or cell.fate == CellChange.KEPT:
        return replace(cell, source_before="", source_after="")
    return replace(
        cell, source_before=cell.source_before[:_SOURCE], source_after=cell.source_after[:_SOURCE]
    )


def keep_copy(
    folder: Folder, backups: str, path: str, content: bytes, *, lasting: bool = True
) -> None:
    """A copy of a file that is to be replaced, under a name that nothing else has.

    Args:
        lasting: as in `Folder.write`.

    Raises:
        Odd, Changed: something stands in its way.
        Unavailable: the disk is full.
    """
    digest = sha256(content).hexdigest()
    for i in range(1, _TWICE):
        name = f"{backups}/{path}" if i == 1 else beside(f"{backups}/{path}", str(i))
        seen = folder.read(name, len(content), keep=False)
        if seen.sha256 == digest:
            return
        if seen.kind == "absent":
            folder.write(name, content, was=seen, lasting=lasting)
            return
    raise Changed(path)
