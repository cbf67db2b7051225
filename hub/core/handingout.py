"""What becomes of each file when a release is handed to a student; pure.

A file is the student's as soon as it is not what was written there last. What the student changed
is never overwritten: a notebook is merged, anything else gets the new version beside it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from typing import Literal

from hub.core.courses import COURSE_FILE, BaseFact, Fate, FileFact, Student, data_path
from hub.errors import Text

OTHER = "other"  # a notebook of the student's own that has the same name
_LINK = "link:"  # what was written was a link to read-only data
_MERGED = "merged:"  # … a merge: it has the student's in it, and is never replaced


class Act(StrEnum):
    """What is to be done with what stands in a file's place."""

    NOTHING = "nothing"
    WRITE = "write"
    MERGE = "merge"
    LINK = "link"
    REMOVE = "remove"
    BESIDE = "beside"


@dataclass(frozen=True)
class Mine:
    """What stands in the student's folder; as an edge has seen it, without content.

    `kind`: absent, file, folder, link, odd; `problem` says why it is odd.
    """

    kind: str
    sha256: str = ""
    problem: str = ""
    target: str = ""


@dataclass(frozen=True)
class Decision:
    """What to do, what to call it ("" for nothing worth telling), and what is known afterwards.

    `base` None: nothing of this file is kept in mind any more.
    """

    act: Act
    fate: str = ""
    base: BaseFact | None = None
    note: Text | str = ""


@dataclass(frozen=True)
class Ask:
    """What is asked: this release of this course. `open`: files that are open in Lab.

    `again`: also what could not be handed out before.
    """

    course: str
    release: int
    open: frozenset[str] = frozenset()
    again: bool = False


def handed(files: Iterable[FileFact]) -> dict[str, FileFact]:
    """The files of a release that come into a student's folder, by path."""
    return {x.path: x for x in files if x.path != COURSE_FILE}


def paths(student: Student, new: Mapping[str, FileFact]) -> list[str]:
    """All paths that a handout has to look at."""
    return sorted({*new, *student.bases})


def is_current(student: Student | None, release: int, new: Mapping[str, FileFact]) -> bool:
    """Whether nothing of a release is left to hand out; told without a look at the folder."""
    if student is None:
        return False
    if student.release != release:
        # one that was withdrawn after it was handed out stays until there is a newer one
        return student.release > release
    return all(x in new for x in student.bases) and all(
        (base := student.bases.get(path)) is not None
        and fact.sha256 in (base.sha256, base.beside)
        and (base.written.startswith(_LINK) is fact.data or base.beside == fact.sha256)
        for path, fact in new.items()
    )


def coming(
    student: Student | None, new: Mapping[str, FileFact]
) -> list[tuple[str, Literal["new", "changed", "gone"]]]:
    """(path, change) of what a release has otherwise than what a student was given, by path."""
    bases = student.bases if student else {}
    given = {k for k, x in bases.items() if x.sha256 or x.beside}
    return [
        (path, "new" if path not in given else "changed" if path in new else "gone")
        for path in sorted(new.keys() | given)
        if path not in new or path not in given
        or new[path].sha256 not in (bases[path].sha256, bases[path].beside)
    ]


def digest(student: Student) -> str:
    """All that `is_current` looks at of the files that a student has, in a word.

    A whole class has the same one: whether its files are current is told once for all of them.
    """
    made = sha256()
    for path in sorted(student.bases):
        x = student.bases[path]
        said = f"{path}\0{x.sha256}\0{x.beside}\0{is_data(x)}\0"
        made.update(said.encode(errors="surrogatepass"))
    return made.hexdigest()


def decide(ask: Ask, base: BaseFact | None, new: FileFact | None, mine: Mine) -> Decision:
    """What becomes of one file. `base`: what was given of it last; `new`: None where it is gone."""
    if new is None:
        return _gone(ask, base, mine)
    if new.data:
        return _data(ask, base, new, mine)
    if base and base.sha256 == new.sha256 and not base.written.startswith(_LINK):
        return Decision(Act.NOTHING, _kept(base, new, mine), base)
    if base and base.beside == new.sha256 and not ask.again:
        return Decision(Act.NOTHING, "", base)
    if new.path in ask.open:
        return Decision(Act.NOTHING, Fate.WAITING, base)
    return _copy(ask, base, new, mine)


def _copy(ask: Ask, base: BaseFact | None, new: FileFact, mine: Mine) -> Decision:
    given = BaseFact(new.path, new.sha256, new.sha256)
    if mine.kind == "absent":
        note = Text("You had deleted it; it has changed since.") if base and base.sha256 else ""
        return Decision(Act.WRITE, Fate.NEW, given, note)
    if mine.kind == "file" and mine.sha256 == new.sha256:
        return Decision(Act.NOTHING, Fate.UPDATED if base else Fate.NEW, given)
    if _unchanged(base, mine) or _our_link(ask, mine):
        return Decision(Act.WRITE, Fate.UPDATED, given)
    if mine.kind == "file" and new.notebook:
        return Decision(Act.MERGE, Fate.MERGED, given)
    return set_beside(base, new, mine)


def set_beside(base: BaseFact | None, new: FileFact, mine: Mine, problem: str = "") -> Decision:
    """The new version is laid beside. `problem`: why a notebook could not be merged."""
    known = base or BaseFact(new.path, "", "")
    if mine.kind == "file" and not problem:
        after = replace(known, sha256=new.sha256, beside=new.sha256)
        return Decision(Act.BESIDE, Fate.BESIDE, after)
    # not given yet: when the student has mended the file, it is merged with what was given before
    after = replace(known, beside=new.sha256)
    fate = Fate.BESIDE if problem == OTHER else Fate.ODD
    return Decision(Act.BESIDE, fate, after, why_odd(problem or mine.problem or mine.kind))


def _gone(ask: Ask, base: BaseFact | None, mine: Mine) -> Decision:
    if base is None or mine.kind == "absent" or not base.written:
        return Decision(Act.NOTHING)
    if base.path in ask.open:
        return Decision(Act.NOTHING, Fate.WAITING, base)
    if _unchanged(base, mine) or _our_link(ask, mine):
        return Decision(Act.REMOVE, Fate.REMOVED)
    return Decision(Act.NOTHING, Fate.REMOVED_KEPT)


def _data(ask: Ask, base: BaseFact | None, new: FileFact, mine: Mine) -> Decision:
    """Read-only data: a link to where every container has them."""
    target = str(data_path(ask.course, ask.release, new.path))
    given = BaseFact(new.path, new.sha256, f"{_LINK}{target}")
    known = base is not None and base.written.startswith(_LINK)
    same = base is not None and base.sha256 == new.sha256
    if mine.kind == "absent":
        if known and same and base is not None and not (base.beside and ask.again):
            return Decision(Act.NOTHING, "", base)
        return Decision(Act.LINK, Fate.NEW, given)
    if _our_link(ask, mine):
        act = Act.NOTHING if mine.target == target else Act.LINK
        return Decision(act, "" if same else Fate.UPDATED, given)
    if _unchanged(base, mine):
        return Decision(Act.LINK, Fate.UPDATED, given)
    after = replace(base or given, sha256=new.sha256, beside=new.sha256)
    told = same and base is not None and base.beside == new.sha256
    return Decision(Act.NOTHING, "" if told else Fate.ODD, after, Text(
        "Yours stands in the place of read-only data, which are in {target}.", target=target
    ))


def _kept(base: BaseFact, new: FileFact, mine: Mine) -> str:
    """Of notebooks it is told that they are the student's; a course has thousands of pictures."""
    return Fate.KEPT if new.notebook and mine.kind == "file" and not _unchanged(base, mine) else ""


def _unchanged(base: BaseFact | None, mine: Mine) -> bool:
    return base is not None and mine.kind == "file" and mine.sha256 in (base.written, base.sha256)


def _our_link(ask: Ask, mine: Mine) -> bool:
    return mine.kind == "link" and mine.target.startswith(f"{data_path(ask.course, 0).parent}/")


def merged(path: str, blob: str, sha256: str) -> BaseFact:
    """What is known when a blob was merged into the student's, which is `sha256` now."""
    return BaseFact(path, blob, blob if blob == sha256 else f"{_MERGED}{sha256}")


def is_data(base: BaseFact) -> bool:
    """Whether what was given was a link to read-only data."""
    return base.written.startswith(_LINK)


_ODD: Mapping[str, Text] = {
    "link": Text("A link stands in its place."),
    "folder": Text("A folder stands in its place."),
    "shared": Text("Your file has a second name (a hard link)."),
    "special": Text("What stands in its place is no file."),
    "huge": Text("Your file is too large."),
    "locked": Text("Your file is locked or read-only."),
    "foreign": Text("Your file does not belong to you."),
    "way": Text("A link or a file stands where its folder should be."),
    "empty": Text("Your file is empty."),
    "broken": Text("Your file is no notebook that can be read."),
    "changing": Text("It was changed just now."),
    OTHER: Text("Another notebook has this name."),
}


def why_odd(problem: str) -> Text:
    """Why a file was left alone."""
    return _ODD.get(problem, _ODD["special"])
