"""course.toml: what a course is called, whose it is, what is visible from when, its schedules.

A bad one is refused whole, with the line of the first problem.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any

from hub.core import schedulefile
from hub.core.coursepaths import MOST_PATTERN, is_pattern, matches
from hub.core.courses import COURSE_FILE
from hub.core.hours import exists, moment, zone_of
from hub.core.roster import check_group
from hub.core.schedulefile import Entry
from hub.errors import BadInput, Text

LARGEST = 256 << 10  # bytes
_MOST = 200  # patterns, and schedules
_TITLE = 120  # characters
_SHORT = 255
_TEXTS = ("title", "group", "zone", "profile", "image")
_LISTS = ("data", "ignore")
_TABLES = ("visible", "schedules")
_PLACE = re.compile(r"\s*\(at line (\d+), column \d+\)")
_SCHEDULES = re.compile(r"^([ \t]*\[+[ \t]*)schedules\b", re.MULTILINE)
_HEADING = re.compile(r"^\s*\[+\s*([\w\"'.-]+)\s*\]+", re.ASCII)


class BadCourseFile(BadInput):
    """course.toml cannot be used; `line` and `why` of its first problem."""

    def __init__(self, line: int, why: Text | str) -> None:
        super().__init__(
            "{file}, line {line}: {why}", reason="course-file", file=COURSE_FILE, line=line,
            why=why,
        )
        self.line = line
        self.why = why if isinstance(why, Text) else Text("This is no TOML: {error}", error=why)


@dataclass(frozen=True)
class Since:
    """What matches `pattern` is visible from `at`."""

    pattern: str
    at: datetime
    line: int


@dataclass(frozen=True)
class About:
    """What a course.toml says. `lines`: key → its line."""

    title: str
    group: str
    zone: str
    profile: str = ""
    image: str = ""
    data: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    visible: tuple[Since, ...] = ()
    schedules: tuple[Entry, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)

    def at(self, key: str) -> int:
        """The line of a key at the top."""
        return self.lines.get(key, 1)

    def is_data(self, path: str) -> bool:
        """Whether a file is read-only data, mounted and not copied."""
        return any(matches(x, path) for x in self.data)

    def ignores(self, path: str) -> bool:
        """Whether a file is never handed out."""
        return any(matches(x, path) for x in self.ignore)

    def visible_from(self, path: str) -> datetime | None:
        """From when on members see a file; where several patterns match, the latest."""
        return max((x.at for x in self.visible if matches(x.pattern, path)), default=None)

    def unmatched(self, paths: Sequence[str]) -> list[tuple[str, int]]:
        """Patterns of `data` and `visible` that match none of these, with their lines."""
        asked = [(x, self.at("data")) for x in self.data]
        asked += [(x.pattern, x.line) for x in self.visible]
        return [(x, line) for x, line in asked if not any(matches(x, path) for path in paths)]


def read(content: bytes, *, zone: str, user: str = "") -> About:
    """What a course.toml says.

    Args:
        zone: the time zone where it names none.
        user: whose runs its schedules make.

    Raises:
        BadCourseFile: its first problem, with the line.
    """
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as e:
        line = content.count(b"\n", 0, e.start) + 1
        raise BadCourseFile(line, Text("This is not UTF-8.")) from e
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        said, place = str(e), _PLACE.search(str(e))
        line = int(place[1]) if place else text.count("\n") + 1
        raise BadCourseFile(line, _PLACE.sub("", said)) from e
    except RecursionError as e:
        raise BadCourseFile(1, Text("This is nested too deeply.")) from e
    return _Reader(text, data, zone, user).about()


class _Reader:
    def __init__(self, text: str, data: Mapping[str, Any], zone: str, user: str) -> None:
        self._text = text
        self._data = data
        self._lines = _lines(text)
        self._zone = zone
        self._user = user

    def about(self) -> About:
        for key in self._data:
            if key not in (*_TEXTS, *_LISTS, *_TABLES):
                raise self._bad(key, Text("unknown key {key}", key=repr(key[:60])))
        texts = {x: self._said(x) for x in _TEXTS}
        for key in ("title", "group"):
            if not texts[key]:
                raise BadCourseFile(self._at(key), Text("{key} is missing", key=key))
        if len(texts["title"]) > _TITLE or not texts["title"].isprintable():
            raise self._bad("title", Text(
                "the title has at most {most} characters, in one line", most=_TITLE
            ))
        self._check_group(texts["group"])
        zone = texts["zone"] or self._zone
        self._check_zone(zone)
        return About(
            title=texts["title"], group=texts["group"], zone=zone, profile=texts["profile"],
            image=texts["image"], data=self._patterns("data"), ignore=self._patterns("ignore"),
            visible=self._visible(zone), schedules=self._schedules(),
            lines={k: line for (table, k), line in self._lines.items() if not table},
        )

    def _at(self, key: str, table: str = "") -> int:
        return self._lines.get((table, key), self._lines.get(("", table or key), 1))

    def _bad(self, key: str, why: Text | str) -> BadCourseFile:
        return BadCourseFile(self._at(key), why)

    def _said(self, key: str) -> str:
        found = self._data.get(key, "")
        if not isinstance(found, str):
            raise self._bad(key, Text("{key} must be {kind}", key=key, kind=Text("a text")))
        if len(found) > _SHORT or "\0" in found:
            raise self._bad(key, Text("{key} is too long", key=key))
        return found.strip()

    def _check_group(self, group: str) -> None:
        try:
            check_group(group)
        except BadInput as e:
            raise self._bad("group", Text(e.template, **e.values)) from e

    def _check_zone(self, zone: str) -> None:
        try:
            zone_of(zone)
        except (KeyError, ValueError, OSError) as e:
            raise self._bad("zone", Text(
                "unknown time zone {zone}; write it like Asia/Seoul", zone=repr(zone[:60])
            )) from e

    def _patterns(self, key: str) -> tuple[str, ...]:
        found = self._data.get(key, [])
        if not isinstance(found, list) or not all(isinstance(x, str) for x in found):
            raise self._bad(key, Text(
                "{key} must be {kind}", key=key, kind=Text("a list of texts")
            ))
        for one in found:
            self._check_pattern(one, self._at(key))
        if len(found) > _MOST:
            raise self._bad(key, Text("{key}: at most {most}", key=key, most=_MOST))
        return tuple(found)

    def _check_pattern(self, pattern: str, line: int) -> None:
        if not is_pattern(pattern):
            raise BadCourseFile(line, Text(
                "{pattern} is no pattern of paths: relative, with / between folders, * and ** for "
                "any name, at most {most} characters", pattern=repr(pattern[:60]),
                most=MOST_PATTERN,
            ))

    # ---- [visible] ---------------------------------------------------------------------------

    def _visible(self, zone: str) -> tuple[Since, ...]:
        found = self._data.get("visible", {})
        if not isinstance(found, dict):
            raise self._bad("visible", Text("visible must be a table of patterns and times"))
        if len(found) > _MOST:
            raise self._bad("visible", Text("{key}: at most {most}", key="visible", most=_MOST))
        made = []
        for pattern, value in found.items():
            line = self._at(pattern, "visible")
            self._check_pattern(pattern, line)
            made.append(Since(pattern, _moment(value, zone, line), line))
        return tuple(made)

    # ---- [[schedules]] -----------------------------------------------------------------------

    def _schedules(self) -> tuple[Entry, ...]:
        found = self._data.get("schedules", [])
        if not isinstance(found, list) or not all(isinstance(x, dict) for x in found):
            raise self._bad("schedules", Text("each schedule begins with a line [[schedules]]"))
        for i, one in enumerate(found):
            if "user" in one:
                line = self._lines.get(("schedules", f"user#{i}"), self._at("schedules"))
                raise BadCourseFile(line, Text(
                    "a course's schedules run for whoever publishes it: leave user out"
                ))
        if len(found) > _MOST:
            raise self._bad("schedules", Text("{key}: at most {most}", key="schedules", most=_MOST))
        # the lines are those of the file: as many, and only a letter less in some
        text = _SCHEDULES.sub(r"\1schedule", self._text)
        data = {"schedule": [{**x, "user": self._user or "-"} for x in found]}
        try:
            return tuple(schedulefile.entries(text, data, COURSE_FILE))
        except BadInput as e:
            at, why = e.values.get("line"), e.values.get("why")
            if not isinstance(at, int) or not isinstance(why, Text | str):
                raise
            raise BadCourseFile(at, why) from e


def _moment(value: object, zone: str, line: int) -> datetime:
    """A local time of the course, or a day's beginning, as a moment."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time.min)
    if not isinstance(value, datetime):
        raise BadCourseFile(line, Text(
            "write the time like 2026-11-30T09:00:00, without quotes"
        ))
    if value.tzinfo is not None:
        return value
    where = zone_of(zone)
    try:
        if not exists(value, where):
            raise BadCourseFile(line, Text(
                "{time} does not exist in {zone}: the clock is put forward then",
                time=value.isoformat(" "), zone=zone,
            ))
        return moment(value, where)
    except OverflowError as e:
        raise BadCourseFile(line, Text("no clock shows {time}", time=value.isoformat(" "))) from e


def _lines(text: str) -> dict[tuple[str, str], int]:
    """(table, key) → its line, as far as lines tell: of a text over several lines they do not."""
    found: dict[tuple[str, str], int] = {}
    table, heads = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        heading = _HEADING.match(line)
        if heading:
            table = heading[1].strip("\"'")
            found.setdefault(("", table.partition(".")[0]), number)
            heads += line.lstrip().startswith("[[")
            continue
        for key in _keys(line):
            name = f"{key}#{heads - 1}" if table == "schedules" else key
            found.setdefault((table, name), number)
    return found


def _keys(line: str) -> Iterable[str]:
    key = re.match(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|([\w-]+))\s*[=.]""", line)
    if key:
        yield key[1] or key[2] or key[3] or ""
