"""What a course's tree would become as a release, and what is wrong with it; pure."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from hub.core import coursefile, coursesecrets, coursetree
from hub.core.course import normalise
from hub.core.coursefile import About, BadCourseFile
from hub.core.courses import COURSE_FILE, Author, FileFact, Problem
from hub.core.coursetree import Entry, Limits, shown
from hub.errors import BadInput, Refusal, Text

_SHOWN = 100
_VALUES = 500_000  # of a notebook, each number, text and list counted: JSON is parsed in one go


class Tree(Protocol):
    """The files of a course as somebody has sent them."""

    def entries(self) -> Iterable[Entry]:
        """What is in it, without reading a file. May end early, after more than the limits."""

    def read(self, path: str) -> bytes:
        """A file's bytes; only called for a regular file within the limits."""


@dataclass(frozen=True)
class Given:
    """What a check has to know.

    `before`: the files of the release before, by path; `blob`: a file's bytes by its SHA-256.
    `group`: of the course as it is, "" for a new one. `zone`: where course.toml names none.
    """

    course: str
    author: Author
    limits: Limits
    zone: str
    blob: Callable[[str], bytes]
    before: Mapping[str, FileFact] = field(default_factory=dict)
    against: int | None = None
    group: str = ""
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Change:
    """What becomes of a path against the release before: new, changed, same, gone, data."""

    path: str
    change: str
    size: int


@dataclass(frozen=True)
class Draft:
    """What a tree would become as a release; kept nowhere yet.

    `about`: its course.toml, None where that is bad. `problems` by file and line, at most 100;
    `more`: how many there are beyond. `against`: the number of the release before.
    """

    course: str
    author: Author
    about: About | None
    files: tuple[FileFact, ...]
    problems: tuple[Problem, ...]
    tree: Tree = field(compare=False, repr=False)
    changed: Mapping[str, bytes] = field(default_factory=dict, compare=False, repr=False)
    before: Mapping[str, FileFact] = field(default_factory=dict, compare=False, repr=False)
    against: int | None = None
    more: int = 0

    @property
    def ok(self) -> bool:
        """Whether it may be published."""
        return self.about is not None and not any(x.fatal for x in self.problems)

    def content(self, path: str) -> bytes:
        """A file as it would be handed out.

        Raises:
            KeyError: it would not be.
        """
        if path not in self._paths:
            raise KeyError(path)
        found = self.changed.get(path)
        return self.tree.read(path) if found is None else found

    @cached_property
    def _paths(self) -> frozenset[str]:
        return frozenset(x.path for x in self.files)

    def changes(self) -> tuple[Change, ...]:
        """Every path of this and of the release before, by name."""
        made = [
            Change(x.path, _change(x, self.before.get(x.path)), x.size) for x in self.files
        ]
        gone = [
            Change(x.path, "gone", x.size) for x in self.before.values()
            if x.path not in self._paths
        ]
        return tuple(sorted([*made, *gone], key=lambda x: x.path))


def _change(now: FileFact, before: FileFact | None) -> str:
    if before is not None and before.sha256 == now.sha256 and before.data == now.data:
        return "same"
    if now.data:
        return "data"
    return "new" if before is None else "changed"


class Files:
    """A tree that is held in memory: path → bytes."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def entries(self) -> Iterable[Entry]:
        """What is in it."""
        return [Entry(k, "100644", len(x)) for k, x in self._files.items()]

    def read(self, path: str) -> bytes:
        """A file's bytes."""
        return self._files[path]


def check(tree: Tree, given: Given) -> Draft:
    """What the tree would become, and every problem that can be told at once."""
    checker = _Checker(tree, given)
    about = checker.run()
    problems = sorted(checker.problems, key=lambda x: (not x.fatal, x.path, x.line))
    shown = sorted(problems[:_SHOWN], key=lambda x: (x.path, x.line))
    return Draft(
        course=given.course, author=given.author, about=about, files=tuple(checker.files),
        problems=tuple(shown), tree=tree, changed=checker.changed, before=given.before,
        against=given.against, more=len(problems) - len(shown),
    )


class _Checker:
    def __init__(self, tree: Tree, given: Given) -> None:
        self._tree = tree
        self._given = given
        self.problems: list[Problem] = []
        self.files: list[FileFact] = []
        self.changed: dict[str, bytes] = {}

    def run(self) -> About | None:
        found = list(self._tree.entries())
        self.problems += coursetree.problems(found, self._given.limits)
        bad = {x.path for x in self.problems if x.fatal}
        about = self._about(found, bad)
        if coursetree.too_much(found, self._given.limits):
            return about  # nothing of it is read
        for entry in sorted(found, key=lambda x: x.path):
            if coursetree.handed_out(entry.path) and not (about and about.ignores(entry.path)):
                if shown(entry.path) in bad or not entry.regular:
                    continue
                self._file(entry, about)
        self._unused(about)
        if about and not self.files and not any(x.fatal for x in self.problems):
            self._say(COURSE_FILE, 0, Text("There is nothing to hand out beside course.toml."))
        return about

    def _say(self, path: str, line: int, message: Text, *, fatal: bool = True) -> None:
        self.problems.append(Problem(path, line, message, fatal))

    # ---- course.toml -----------------------------------------------------------------------

    def _about(self, found: list[Entry], bad: set[str]) -> About | None:
        mine = [x for x in found if x.path == COURSE_FILE and x.regular]
        if not mine:
            if COURSE_FILE not in bad:
                self._say(COURSE_FILE, 0, Text(
                    "There is no course.toml at the top. It names at least title and group."
                ))
            return None
        if COURSE_FILE in bad or mine[0].size > coursefile.LARGEST:
            self._say(COURSE_FILE, 0, Text("course.toml is too large."))
            return None
        try:
            about = coursefile.read(self._tree.read(COURSE_FILE), zone=self._given.zone)
        except BadCourseFile as e:
            self._say(COURSE_FILE, e.line, e.why)
            return None
        self._may(about)
        return about

    def _may(self, about: About) -> None:
        line, author = about.at("group"), self._given.author
        if not author.leads(about.group):
            self._say(COURSE_FILE, line, Text(
                "You are no instructor of the group {group}.", group=about.group
            ))
        elif self._given.group and not author.leads(self._given.group):
            self._say(COURSE_FILE, line, Text(
                "The course belongs to the group {group}, of which you are no instructor.",
                group=self._given.group,
            ))
        elif self._given.groups and about.group not in self._given.groups:
            self._say(COURSE_FILE, line, Text(
                "Nobody is in the group {group} yet.", group=about.group
            ), fatal=False)

    def _unused(self, about: About | None) -> None:
        """A pattern that matches nothing is mostly a misspelt one."""
        if about is None:
            return
        paths = [x.path for x in self.files]
        for pattern, line in about.unmatched(paths):
            self._say(COURSE_FILE, line, Text(
                "{pattern} matches no file.", pattern=repr(pattern)
            ), fatal=False)

    # ---- files -----------------------------------------------------------------------------

    def _file(self, entry: Entry, about: About | None) -> None:
        content = sent = self._tree.read(entry.path)
        data = bool(about and about.is_data(entry.path))
        notebook = entry.path.endswith(".ipynb") and not data
        if notebook:
            made = self._notebook(entry.path, content)
            if made is None:
                return
            if made != content:
                self.changed[entry.path] = made
            content = made
        # of a notebook what is handed out: a key in an output goes with the output
        self.problems += coursesecrets.problems(entry.path, content, sent)
        self.files.append(FileFact(
            path=entry.path, sha256=hashlib.sha256(content).hexdigest(), size=len(content),
            notebook=notebook, data=data, executable=entry.mode == "100755",
            visible_from=about.visible_from(entry.path) if about else None,
        ))

    def _notebook(self, path: str, content: bytes) -> bytes | None:
        """As it will be handed out; None where it is none."""
        most = self._given.limits.notebook
        if len(content) > most:
            self._say(path, 0, Text(
                "The notebook has {size} MiB, {most} is the most. Clear its outputs.",
                size=_mib(len(content)), most=most >> 20,
            ))
            return None
        try:
            made = normalise(parsed(content), self._before(path))
            written = as_bytes(made.notebook)
        except BadInput as e:
            self._say(path, _line_of(content, e), Text(e.template, **e.values))
            return None
        for note in made.notes:
            self._say(path, 0, note, fatal=False)
        return written

    def _before(self, path: str) -> dict[str, Any] | None:
        known = self._given.before.get(path)
        if known is None or not known.notebook:
            return None
        try:
            return parsed(self._given.blob(known.sha256))
        except (Refusal, OSError):
            # ids are then not carried over, which the next handout shows as changed cells
            return None


def parsed(content: bytes) -> dict[str, Any]:
    """A notebook's JSON.

    Raises:
        BadInput: reason "not-a-notebook".
    """
    if _values(content) > _VALUES:
        raise BadInput(
            "This notebook has more than {most} values, each number, text and list counted. Clear "
            "its outputs.", reason="not-a-notebook", most=_VALUES,
        )
    try:
        found = json.loads(content.decode("utf-8-sig"), parse_constant=_no_constant)
    except UnicodeDecodeError as e:
        raise BadInput("This is not a notebook: not UTF-8.", reason="not-a-notebook") from e
    except json.JSONDecodeError as e:
        raise _NoJson(e.lineno) from e
    except (ValueError, RecursionError) as e:
        raise BadInput("This is not a notebook: no JSON.", reason="not-a-notebook") from e
    if not isinstance(found, dict):
        raise BadInput("This is not a notebook: no JSON.", reason="not-a-notebook")
    return found


class _NoJson(BadInput):
    def __init__(self, line: int) -> None:
        super().__init__("This is not a notebook: no JSON.", reason="not-a-notebook")
        self.line = line


def _no_constant(name: str) -> float:
    raise ValueError(name)


def as_bytes(notebook: Mapping[str, Any]) -> bytes:
    """A notebook as Jupyter writes it: so that who saves it unchanged has changed nothing.

    Raises:
        BadInput: reason "not-a-notebook": nested too deeply, or with a number that JSON has not.
    """
    laid: dict[str, Any] = {
        "indent": 1, "sort_keys": True, "separators": (",", ": "), "allow_nan": False,
    }
    try:
        return json.dumps(notebook, ensure_ascii=False, **laid).encode() + b"\n"
    except UnicodeEncodeError:  # half a character, which only an escape can hold
        return json.dumps(notebook, **laid).encode() + b"\n"
    except (ValueError, RecursionError) as e:
        raise BadInput("This is not a notebook: no JSON.", reason="not-a-notebook") from e


def _line_of(content: bytes, error: BadInput) -> int:
    """Where in the file it is: of broken JSON its line, of a duplicate id the second one's."""
    if isinstance(error, _NoJson):
        return error.line
    id = error.values.get("id")
    if not isinstance(id, str):
        return 0
    wanted = f'"id": {json.dumps(id, ensure_ascii=False)}'.encode("utf-8", "replace")
    second = content.find(wanted, content.find(wanted) + 1)
    return content.count(b"\n", 0, second) + 1 if second > 0 else 0


def _values(raw: bytes) -> int:
    """About how many values there are: what stands inside of texts is not counted."""
    bare = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    texts = bare.count(b'"') // 2
    if texts > _VALUES:
        return texts
    outside = b"".join(bare.split(b'"')[::2])
    return sum(outside.count(x) for x in (b",", b"[", b"{"))


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f}"
