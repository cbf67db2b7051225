"""course.toml: what it says, and what is refused of it, with the line."""

from datetime import UTC, datetime, timedelta

import pytest

from hub.core import coursefile
from hub.core.coursefile import About, BadCourseFile
from hub.core.coursepaths import is_pattern, matches

GOOD = """\
title = "Torch, from the ground"
group = "ml"
zone = "Asia/Seoul"
profile = "1g.5gb"
data = ["data/**"]
ignore = ["solutions", "*.bak"]

[visible]
"week2/**" = 2026-11-30T09:00:00
'week2/late.ipynb' = 2026-12-01
"week3" = 2026-12-07T00:00:00Z

[[schedules]]
name = "nightly"
notebook = "week1/a.ipynb"
cron = "0 2 * * *"
profile = "1g.5gb"

[[schedules]]
name = "other"
notebook = "week1/a.ipynb"
cron = "0 3 * * *"
profile = "1g.5gb"
[schedules.parameters]
epochs = 3
"""


def read(text: str) -> About:
    return coursefile.read(text.encode(), zone="UTC", user="teacher")


def bad(text: str) -> tuple[int, str]:
    with pytest.raises(BadCourseFile) as told:
        read(text)
    assert str(told.value).startswith(f"course.toml, line {told.value.line}: ")
    return told.value.line, str(told.value.why)


def test_what_it_says() -> None:
    about = read(GOOD)
    assert (about.title, about.group) == ("Torch, from the ground", "ml")
    assert (about.zone, about.profile, about.image) == ("Asia/Seoul", "1g.5gb", "")
    assert about.is_data("data/deep/x.csv")
    assert not about.is_data("data")
    assert about.ignores("week1/solutions/a.ipynb")
    assert about.ignores("week1/a.bak")
    assert [x.plan.name for x in about.schedules] == ["nightly", "other"]
    assert [x.line for x in about.schedules] == [13, 19]
    assert about.schedules[1].values["parameters"] == {"epochs": 3}
    assert {x.user for x in about.schedules} == {"teacher"}


def test_visible_is_local_and_the_latest_counts() -> None:
    about = read(GOOD)
    nine = datetime(2026, 11, 30, tzinfo=UTC)  # 09:00 in Seoul
    assert about.visible_from("week2/a.ipynb") == nine
    assert about.visible_from("week2/late.ipynb") == nine + timedelta(hours=15)
    assert about.visible_from("week3/deep/x") == datetime(2026, 12, 7, tzinfo=UTC)
    assert about.visible_from("week1/a.ipynb") is None


def test_without_a_zone_the_house_says_it() -> None:
    assert read('title = "T"\ngroup = "ml"\n').zone == "UTC"


def test_windows_line_ends_and_a_mark_at_the_beginning_do_not_matter() -> None:
    content = b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()
    about = coursefile.read(content, zone="UTC")
    assert [x.line for x in about.schedules] == [13, 19]


def test_a_pattern_that_matches_nothing_is_told_with_its_line() -> None:
    found = read(GOOD).unmatched(["week1/a.ipynb", "week3/b.ipynb"])
    assert found == [("data/**", 5), ("week2/**", 9), ("week2/late.ipynb", 10)]


HEAD = 'title = "T"\ngroup = "ml"\n'


@pytest.mark.parametrize(("text", "line", "says"), [
    ('group = "ml"\n', 1, "title is missing"),
    ('title = "T"\n\n', 1, "group is missing"),
    ('title = "T"\ngroup = " "\n', 2, "group is missing"),
    (HEAD + 'gruop = "x"\n', 3, "unknown key 'gruop'"),
    (HEAD + "[visable]\n", 3, "unknown key 'visable'"),
    (HEAD + "zone = 3\n", 3, "zone must be a text"),
    (HEAD + 'zone = "Seoul"\n', 3, "unknown time zone 'Seoul'"),
    (HEAD + 'zone = "../../etc/passwd"\n', 3, "unknown time zone"),
    ('title = "T"\ngroup = "../x"\n', 2, "no name of a group"),
    ('title = "' + "x" * 121 + '"\ngroup = "ml"\n', 1, "at most 120"),
    ('title = "a\\u001b[2Jb"\ngroup = "ml"\n', 1, "in one line"),
    (HEAD + 'data = "data/**"\n', 3, "data must be a list of texts"),
    (HEAD + 'data = ["ok", 3]\n', 3, "data must be a list of texts"),
    (HEAD + 'ignore = ["/etc"]\n', 3, "no pattern"),
    (HEAD + 'data = ["../other"]\n', 3, "no pattern"),
    (HEAD + "visible = 3\n", 3, "visible must be a table"),
    (HEAD + '[visible]\n# so\n"a" = "2026-11-30"\n', 5, "without quotes"),
    (HEAD + '[visible]\n"a" = 09:00:00\n', 4, "without quotes"),
    (HEAD + '[visible]\n"/a" = 2026-11-30\n', 4, "no pattern"),
    (HEAD + 'zone = "Europe/Berlin"\n[visible]\n"a" = 2027-03-28T02:30:00\n', 5, "does not exist"),
    (HEAD + '[visible]\n"a" = 0001-01-01T00:00:00\n"b" = 3\n', 5, "without quotes"),
    (HEAD + "a = [\n", 4, "no TOML"),
    ("\n\n=\n", 3, "no TOML"),
    (HEAD + "schedules = 3\n", 3, "[[schedules]]"),
    (HEAD + "[[schedules]]\n", 3, "name is missing"),
    (GOOD.replace('cron = "0 3', 'crom = "0 3'), 22, "unknown key 'crom'"),
    (GOOD.replace('name = "other"', 'name = "nightly"'), 20, "in line 14"),
    (GOOD.replace('name = "other"', 'name = "other"\nuser = "ana"'), 21, "leave user out"),
    (GOOD.replace('"week1/a.ipynb"\ncron = "0 3', '"../a.ipynb"\ncron = "0 3'), 21, "path"),
])
def test_a_bad_one_is_refused_with_its_line(text: str, line: int, says: str) -> None:
    found, why = bad(text)
    assert says in why
    assert found == line


@pytest.mark.parametrize("content", [
    b"\xff\xfe", b'title = "T"\ngroup = "\xff"\n', b"a = " + b"[" * 5000, b"\0", b"",
])
def test_what_is_no_course_file_is_refused_and_nothing_breaks(content: bytes) -> None:
    with pytest.raises(BadCourseFile):
        coursefile.read(content, zone="UTC")


@pytest.mark.parametrize(("pattern", "path", "fits"), [
    ("data/**", "data/x", True), ("data/**", "data/a/b", True), ("data/**", "data", False),
    ("data/**", "week1/data/x", False), ("data", "week1/data/x", True), ("data/", "data/x", True),
    ("*.csv", "a/b.csv", True), ("a/*.csv", "a/b.csv", True), ("a/*.csv", "a/c/b.csv", False),
    ("a/*", "a/c/b.csv", True), ("**/b.csv", "b.csv", True), ("**/b.csv", "a/c/b.csv", True),
    ("a/**/b", "a/b", True), ("a/**/b", "a/x/y/b/z", True), ("a/**/b", "a/x", False),
    ("week?", "week1/x", True), ("week[12]/x", "week2/x", True), ("**", "a", True),
    ("**", "a/b", True), ("week1", "week10/x", False), ("A", "a", False),
])
def test_patterns(pattern: str, path: str, *, fits: bool) -> None:
    assert is_pattern(pattern)
    assert matches(pattern, path) is fits


@pytest.mark.parametrize("pattern", [
    "", "/a", "a//b", "../a", "a/../b", "./a", "a\\b", "a\nb", "x" * 201, "/".join("a" * 30),
])
def test_what_is_no_pattern(pattern: str) -> None:
    assert not is_pattern(pattern)


def test_a_pattern_made_to_hurt_takes_no_time() -> None:
    pattern = "/".join(["**", "*a*a*a*a*a*a*a*b"] * 9)[:200].rstrip("/")
    assert not matches(pattern, "/".join(["a" * 190] * 2))
