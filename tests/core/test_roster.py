import pytest

from hub.core.roster import Member, Role, groups_of, is_operator, parse, role_of
from hub.errors import BadInput

HEADER = "name,group,role\n"


def problems(text: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        parse(text, "roster.csv")
    first, *lines = caught.value.message.split("\n")
    assert first == "The roster was not read; nothing was changed."
    assert caught.value.reason == "roster"
    return lines


def test_a_roster_is_read_in_the_order_of_its_lines() -> None:
    assert parse(HEADER + "kim,ai,student\nlee,인공지능-2025,instructor\n", "r.csv") == (
        Member("kim", "ai", Role.STUDENT), Member("lee", "인공지능-2025", Role.INSTRUCTOR),
    )


@pytest.mark.parametrize("text", [
    "\ufeffname,group,role\r\nkim,ai,student\r\n",
    "# the people\n\n  # of spring\nname,group,role\n\n,,\nkim,ai,student\n   \n",
    "role,name,group\nstudent,kim,ai",
    "Name, Group, ROLE\n kim , ai , student ",
    'name,group,role\n"kim","ai","student"\n#lee,ai,student\n',
])
def test_what_editors_and_spreadsheets_write_is_read(text: str) -> None:
    assert parse(text, "r.csv") == (Member("kim", "ai", Role.STUDENT),)


def test_an_empty_roster_has_a_header_and_nobody() -> None:
    assert parse(HEADER, "r.csv") == ()


@pytest.mark.parametrize(("text", "said"), [
    ("", "roster.csv:1: the first line must be the header name,group,role: "
         "no column name, group, role"),
    ("# people\nkim,ai,student\n", "roster.csv:2: the first line must be the header "
     "name,group,role: no column name, group, role; unknown column kim, ai, student"),
    ("name,role\nkim,student\n", "roster.csv:1: the first line must be the header "
     "name,group,role: no column group"),
    ("name,group,role,mail\n", "roster.csv:1: the first line must be the header "
     "name,group,role: unknown column mail"),
    ("name,group,role,role\n", "roster.csv:1: the first line must be the header "
     "name,group,role: a column stands twice"),
])
def test_the_header_is_required(text: str, said: str) -> None:
    assert problems(text) == [said]


@pytest.mark.parametrize(("line", "said"), [
    ("kim,ai", "3 columns are needed (name,group,role), not 2"),
    ("kim,ai,student,x", "3 columns are needed (name,group,role), not 4"),
    (",ai,student", "the name is empty"),
    ("a/b,ai,student", "name 'a/b': '/' and characters that cannot be seen are not allowed"),
    ("a\x07b,ai,student", "name 'a\\x07b': '/' and characters that cannot be seen are not allowed"),
    ("a\0b,ai,student", "name 'a\\x00b': '/' and characters that cannot be seen are not allowed"),
    ("..,ai,student", "name '..': only dots"),
    ("%2e,ai,student", "name '%2e': only dots"),
    ("Kim,ai,student", "name 'Kim': write it in lower case, as JupyterHub does"),
    ("k" * 65 + ",ai,student", f"name '{'k' * 20}'…: longer than 64 characters"),
    ("kim,,student", "group '': up to 64 letters, digits, '.', '_' and '-', "
     "a letter or digit first"),
    ("kim,-x,student", "group '-x': up to 64 letters, digits, '.', '_' and '-', "
     "a letter or digit first"),
    ("kim,a b,student", "group 'a b': up to 64 letters, digits, '.', '_' and '-', "
     "a letter or digit first"),
    ("kim,ai,boss", "unknown role 'boss': it is one of student, instructor, operator"),
    ("kim,ai,", "unknown role '': it is one of student, instructor, operator"),
])
def test_a_bad_line_is_told_with_file_and_number(line: str, said: str) -> None:
    assert problems(HEADER + "lee,ai,student\n\n" + line + "\n") == [f"roster.csv:4: {said}"]


def test_every_bad_line_is_told_at_once() -> None:
    text = HEADER + 'kim,ai,student\nkim,ai,operator\n"lee,ai,student\npark,ai,x\n,,student\n'
    assert [x.split(":")[1] for x in problems(text)] == ["3", "4", "5", "6"]
    assert "kim is in ai already, line 2" in problems(text)[0]


def test_braces_in_a_bad_line_are_just_text() -> None:
    assert problems(HEADER + "kim,{0},student\n") == [
        "roster.csv:2: group '{0}': up to 64 letters, digits, '.', '_' and '-', "
        "a letter or digit first"
    ]


def test_one_person_may_be_in_several_groups() -> None:
    members = parse(
        HEADER + "kim,ai,student\nkim,lab,instructor\nlee,ai,student\npark,ops,operator\n", "r"
    )
    assert role_of(members, "kim") is Role.INSTRUCTOR
    assert role_of(members, "kim", "ai") is Role.STUDENT
    assert role_of(members, "kim", "ops") is None
    assert role_of(members, "nobody") is None
    assert [x for x in ("kim", "lee", "park", "nobody") if is_operator(members, x)] == ["park"]
    assert groups_of(members, "kim") == ("ai", "lab")
    assert groups_of(members, "nobody") == ()


def test_names_are_what_jupyterhub_accepts() -> None:
    from jupyterhub.auth import DummyAuthenticator  # slow to import, and only needed here

    hub = DummyAuthenticator()
    for name in ("kim", "kim@korea.ac.kr", "김철수", "a b", "a'b", "x.y", "..", "a/b", "%2e%2e"):
        ours = True
        try:
            parse(f"{HEADER}{name},ai,student\n", "r.csv")
        except BadInput:
            ours = False
        assert ours == hub.validate_username(hub.normalize_username(name)), name
