"""Courses in words: what an update did with a file and with a cell, and how it is marked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hub.core.courses import CellChange, Fate, FileFate
from hub.errors import Text
from hub.face import words


@dataclass(frozen=True)
class Word:
    """A fate in a word, what it means in a sentence, and the class of its mark."""

    word: Text
    means: Text
    tone: str


FATES: Mapping[str, Word] = {
    Fate.NEW: Word(Text("new file"), Text("It was not in your folder yet."), "free"),
    Fate.UPDATED: Word(
        Text("updated"), Text("You had not changed it: it is the instructor's new version."),
        "held"),
    Fate.KEPT: Word(
        Text("kept yours"), Text("You have changed it, and the instructor has not."), "missing"),
    Fate.MERGED: Word(
        Text("both in one"),
        Text("You and the instructor have changed it: both are in it, yours word by word."),
        "reserved"),
    Fate.BESIDE: Word(
        Text("side by side"),
        Text("You and the instructor have changed the same: both are there, and you choose."),
        "ending"),
    Fate.REMOVED: Word(
        Text("removed"), Text("The instructor has removed it, and you had not changed it."),
        "draining"),
    Fate.REMOVED_KEPT: Word(
        Text("removed upstream, kept"),
        Text("The instructor has removed it; yours is kept, because you have changed it."),
        "draining"),
    Fate.ODD: Word(
        Text("left alone"),
        Text("Your file cannot be read as what it should be: it was not touched, and the new "
             "version lies beside it."), "blocked"),
    Fate.WAITING: Word(
        Text("open in Lab"), Text("It is brought up to date when it is closed."), "ending"),
}
CELLS: Mapping[str, Text] = {
    CellChange.TAKEN: Text("the instructor's new version"),
    CellChange.KEPT: Text("yours, kept"),
    CellChange.BESIDE: Text("yours and the instructor's, side by side"),
    CellChange.LINE_MERGED: Text("yours, with the instructor's lines put in"),
    CellChange.ADDED: Text("new from the instructor"),
    CellChange.REMOVED: Text("removed by the instructor"),
    CellChange.REMOVED_KEPT: Text("removed by the instructor, yours kept"),
    CellChange.MOVED: Text("moved"),
    CellChange.DELETED_SHOWN: Text("you had deleted it; it is new and shown again"),
}
# what an undo says of the files that it has changed back
BACK = Word(Text("put back"), Text("It is as it was before the update."), "draining")
_ODD = Word(Text("something else"), Text("See the note."), "missing")
# what needs a look comes first
_ORDER = (
    Fate.BESIDE, Fate.ODD, Fate.WAITING, Fate.MERGED, Fate.NEW, Fate.UPDATED, Fate.REMOVED_KEPT,
    Fate.REMOVED, Fate.KEPT,
)


def word(language: str, fate: str, *, undone: bool = False) -> str:
    """A file's fate in a word; `undone`: of an update that was."""
    return words.text(language, _word(fate, undone=undone).word)


def means(language: str, fate: str) -> str:
    """What a file's fate means."""
    return words.text(language, _word(fate).means)


def tone(fate: str, *, undone: bool = False) -> str:
    """The class of the mark of a file's fate."""
    return _word(fate, undone=undone).tone


def _word(fate: str, *, undone: bool = False) -> Word:
    return BACK if undone and fate == Fate.UPDATED else FATES.get(fate, _ODD)


def cell_word(language: str, fate: str) -> str:
    """A cell's fate in words."""
    return words.text(language, CELLS.get(fate, _ODD.word))


def conflicts_of(found: FileFate) -> int:
    """In how many places an update has put two versions side by side; a whole file is one."""
    if found.fate not in {Fate.BESIDE, Fate.ODD}:
        return 0
    return sum(x.fate == CellChange.BESIDE for x in found.cells) or 1


def sorted_files(files: Iterable[Any]) -> list[Any]:
    """What needs a look first; each has a `fate` and a `path`."""
    place: dict[str, int] = {x.value: i for i, x in enumerate(_ORDER)}
    return sorted(files, key=lambda x: (place.get(x.fate, len(place)), x.path))


def counts(found: Any) -> dict[str, int]:
    """How many files of each fate in a handout, what needs a look first."""
    made: dict[str, int] = {}
    for one in sorted_files(found.files):
        made[one.fate] = made.get(one.fate, 0) + 1
    return made


CHANGES: Mapping[str, Word] = {
    "new": Word(Text("new file"), Text("It was not in your folder yet."), "free"),
    "changed": Word(Text("changed"), Text("It differs from the newest release."), "held"),
    "same": Word(Text("as it is"), Text("Nothing changes."), "missing"),
    "gone": Word(Text("removed"), Text("It is in the newest release and not here."), "draining"),
    "data": Word(Text("data"), Text("Read-only, mounted and not copied."), "reserved"),
}


@dataclass(frozen=True)
class CourseTalk:
    """How a page says these to one reader."""

    language: str

    def word(self, fate: str, undone: object = None) -> str:
        """A file's fate in a word."""
        return word(self.language, fate, undone=bool(undone))

    def means(self, fate: str) -> str:
        """What it means."""
        return means(self.language, fate)

    def tone(self, fate: str, undone: object = None) -> str:
        """The class of its mark."""
        return tone(fate, undone=bool(undone))

    def counts(self, found: Any) -> dict[str, int]:
        """How many files of each fate."""
        return counts(found)

    def sorted(self, files: Iterable[Any]) -> list[Any]:
        """What needs a look first."""
        return sorted_files(files)

    def cell_counts(self, cells: Iterable[Any]) -> dict[str, int]:
        """What happened to a notebook's cells, in words, and to how many; not what stayed."""
        found = [x.said for x in cells if x.fate != CellChange.KEPT]
        return {x: found.count(x) for x in dict.fromkeys(found)}

    def change_word(self, change: str) -> str:
        """What becomes of a draft's file, in a word."""
        return words.text(self.language, CHANGES.get(change, _ODD).word)

    def change_tone(self, change: str) -> str:
        """The class of its mark."""
        return CHANGES.get(change, _ODD).tone
