"""A course's tree by names, kinds and sizes alone: what can be refused before a file is read."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hub.core.courses import COURSE_FILE, Problem
from hub.errors import Text

REGULAR = frozenset({"100644", "100755", "100664"})
_LINK, _MODULE = "120000", "160000"
_DEEPEST = 24  # a backup lies deeper by some
_LONGEST_PATH, _LONGEST_NAME = 400, 200  # bytes; a handout writes beside, with a longer name
_NOT_HANDED_OUT = frozenset({
    ".gitignore", ".gitattributes", ".gitmodules", ".gitkeep", ".github", ".gitlab-ci.yml",
    ".ipynb_checkpoints", "__pycache__", ".DS_Store",
})


_DEEP = 40  # folders that are looked at: a path of 400 bytes may have 200


@dataclass(frozen=True)
class Entry:
    """One entry of a tree, as git says it: mode (six octal digits), size in bytes.

    `path` holds what git holds: where that is no UTF-8, its bytes as surrogates.
    """

    path: str
    mode: str
    size: int

    @property
    def regular(self) -> bool:
        """Whether it is a file that can be read."""
        return self.mode in REGULAR


@dataclass(frozen=True)
class Limits:
    """The most bytes of a file, of all together, of a notebook; and the most files."""

    file: int = 50 << 20
    total: int = 500 << 20
    files: int = 5000
    notebook: int = 20 << 20


def handed_out(path: str) -> bool:
    """Whether a file is for members at all: not course.toml, nor what tools leave behind."""
    return path != COURSE_FILE and _NOT_HANDED_OUT.isdisjoint(path.split("/"))


def too_much(found: Sequence[Entry], limits: Limits) -> bool:
    """Whether it is so large that nothing of it should be read."""
    return len(found) > limits.files or sum(x.size for x in found) > limits.total


def problems(found: Sequence[Entry], limits: Limits) -> list[Problem]:
    """Everything that is wrong with it, each with its path."""
    made = [
        Problem(shown(x.path), 0, why) for x in found
        if (why := _kind(x) or _name(x.path) or _size(x, limits))
    ]
    made += _alike(found)
    if len(found) > limits.files:
        made.append(Problem("", 0, Text(
            "There are more than {most} files. Pack them, or leave some out with ignore.",
            most=limits.files,
        )))
    total = sum(x.size for x in found)
    if total > limits.total:
        made.append(Problem("", 0, Text(
            "All files together have {size} MiB, {most} is the most.",
            size=f"{total / (1 << 20):.0f}", most=limits.total >> 20,
        )))
    return made


def shown(path: str) -> str:
    """A path as it may be printed to anybody: what cannot be seen is written as an escape."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(x if x.isprintable() else ascii(x)[1:-1] for x in text)[:_LONGEST_PATH]


def _kind(entry: Entry) -> Text | None:
    if entry.mode == _LINK:
        return Text("This is a link. Put the file itself here.")
    if entry.mode == _MODULE:
        return Text("This is a submodule. Put its files here.")
    return None if entry.regular else Text("This is not a file.")


def _size(entry: Entry, limits: Limits) -> Text | None:
    if entry.size <= limits.file:
        return None
    return Text("The file has {size} MiB, {most} is the most.",
                size=f"{entry.size / (1 << 20):.1f}", most=limits.file >> 20)


def _name(path: str) -> Text | None:
    names = path.split("/")
    sizes = [len(x.encode("utf-8", "surrogateescape")) for x in names]
    found = (
        (not _is_utf8(path), Text("The name is not UTF-8.")),
        (any(x in ("", ".", "..") for x in names), Text("This path leads out of the course.")),
        (any(map(_is_git, names)), Text("Nothing may be called .git.")),
        ("\\" in path or not path.isprintable(),
         Text("The name has a backslash, or characters that cannot be seen.")),
        (max(sizes) > _LONGEST_NAME or sum(sizes) + len(sizes) > _LONGEST_PATH,
         Text("The path is too long: at most {name} bytes for a name, {path} for all of it.",
              name=_LONGEST_NAME, path=_LONGEST_PATH)),
        (len(names) > _DEEPEST,
         Text("There are too many folders in folders: at most {most}.", most=_DEEPEST)),
        (any(x != x.strip() or x.endswith(".") for x in names),
         Text("A name begins or ends with a blank, or ends with a dot.")),
    )
    return next((why for wrong, why in found if wrong), None)


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_git(name: str) -> bool:
    """Also as file systems that fold letters, or that shorten names, would read it."""
    plain = "".join(x for x in unicodedata.normalize("NFKC", name) if x.isprintable())
    return plain.casefold().rstrip(". ") in (".git", "git~1")


def _alike(found: Sequence[Entry]) -> Iterator[Problem]:
    """Names that differ only in case or in how an accent is written, files and folders."""
    known: dict[str, str] = {}
    told: set[str] = set()
    kinds: dict[str, bool] = {}
    for entry in sorted(found, key=lambda x: x.path):
        names = entry.path.split("/")[:_DEEP]
        for i in range(1, len(names) + 1):
            path = "/".join(names[:i])
            whole = i == len(names)
            first = known.setdefault(_folded(path), path)
            twice = kinds.setdefault(path, whole) and not whole
            if (first != path or twice) and path not in told:
                told.add(path)
                yield Problem(shown(path), 0, Text(
                    "This name and {other} are the same on some computers.", other=shown(first)
                ))


def _folded(path: str) -> str:
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", text).casefold())
