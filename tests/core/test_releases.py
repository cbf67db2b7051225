"""The check of a course's tree: what it would become, and what is refused by file and line."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from hub.core import releases
from hub.core.courses import Author, FileFact
from hub.core.coursetree import Entry, Limits, shown
from hub.core.releases import Draft, Files, Given
from hub.errors import Unavailable

TOML = b'title = "T"\ngroup = "ml"\n'
TEACHER = Author("teacher", frozenset({"ml"}))


def cell(source: str, id: str | None = "", **rest: Any) -> dict[str, Any]:
    made = {"cell_type": "code", "metadata": {}, "source": source, "outputs": [],
            "execution_count": None, **rest}
    return made if id is None else {"id": id or f"c{abs(hash(source)) % 10**8}", **made}


def book(*cells: dict[str, Any], minor: int = 5) -> bytes:
    made = {"nbformat": 4, "nbformat_minor": minor, "metadata": {}, "cells": list(cells)}
    return json.dumps(made, indent=1).encode()


def nothing(sha256: str) -> bytes:
    raise Unavailable("gone")


GIVEN = Given(course="torch", author=TEACHER, limits=Limits(), zone="UTC", blob=nothing)


class Tree:
    """Entries of any kind; reading what must not be read fails the test."""

    def __init__(self, entries: Mapping[str, tuple[str, int]], files: Mapping[str, bytes]) -> None:
        self._entries = [Entry(k, *x) for k, x in entries.items()]
        self._entries += [Entry(k, "100644", len(x)) for k, x in files.items()]
        self._files = files

    def entries(self) -> Iterable[Entry]:
        return self._entries

    def read(self, path: str) -> bytes:
        return self._files[path]


def check(files: Mapping[str, bytes], given: Given = GIVEN, **entries: Any) -> Draft:
    return releases.check(Files({"course.toml": TOML, **files}), replace(given, **entries))


def told(draft: Draft, *, fatal: bool = True) -> list[tuple[str, int, str]]:
    return [(x.path, x.line, str(x.message)) for x in draft.problems if x.fatal is fatal]


def test_a_good_course() -> None:
    draft = check({
        "a.ipynb": book(cell("1")), "help/x.py": b"x = 1\n", "data/d.csv": b"1,2\n",
        ".gitignore": b"x", "__pycache__/x.pyc": b"", "sol/a.ipynb": b"not even a notebook",
        "course.toml": TOML + b'data = ["data/**"]\nignore = ["sol"]\n'
                       b'[visible]\n"help" = 2030-01-01\n',
    })
    assert draft.ok
    assert not draft.problems
    found = {x.path: x for x in draft.files}
    assert set(found) == {"a.ipynb", "help/x.py", "data/d.csv"}
    assert [x.path for x in draft.files if x.notebook] == ["a.ipynb"]
    assert [x.path for x in draft.files if x.data] == ["data/d.csv"]
    assert [x.path for x in draft.files if x.visible_from] == ["help/x.py"]
    assert draft.content("help/x.py") == b"x = 1\n"
    with pytest.raises(KeyError):
        draft.content("course.toml")


def test_notebooks_are_normalised_and_it_is_told() -> None:
    output = {"output_type": "stream", "name": "stdout", "text": "hello"}
    draft = check({"a.ipynb": book(cell("1", None, outputs=[output]), minor=4)})
    assert draft.ok
    made = json.loads(draft.content("a.ipynb"))
    assert made["nbformat_minor"] == 5
    assert made["cells"][0]["id"]
    assert made["cells"][0]["outputs"] == []
    assert len(told(draft, fatal=False)) == 3
    again = check({"a.ipynb": draft.content("a.ipynb")})
    assert again.content("a.ipynb") == draft.content("a.ipynb")
    assert not again.problems


def test_ids_are_carried_over_from_the_release_before() -> None:
    first = check({"a.ipynb": book(cell("import torch", None), cell("x = 1", None))})
    before = {x.path: x for x in first.files}
    blobs = {before["a.ipynb"].sha256: first.content("a.ipynb")}
    later = check(
        {"a.ipynb": book(cell("import torch", None), cell("new", None), cell("x = 1", None))},
        before=before, against=1, blob=blobs.__getitem__,
    )
    ids = [[x["id"] for x in json.loads(d.content("a.ipynb"))["cells"]] for d in (first, later)]
    assert [ids[1][0], ids[1][2]] == ids[0]


def test_a_blob_that_is_lost_refuses_nothing() -> None:
    before = {"a.ipynb": FileFact("a.ipynb", "0" * 64, 3, notebook=True)}
    assert check({"a.ipynb": book(cell("1"))}, before=before, against=1).ok


def test_changes_against_the_release_before() -> None:
    one = check({"a.txt": b"a", "b.txt": b"b", "c.txt": b"c"})
    toml = TOML + b'data = ["d"]\n'
    two = check(
        {"a.txt": b"a", "b.txt": b"B", "d": b"d", "course.toml": toml, "e": b""},
        before={x.path: x for x in one.files}, against=1,
    )
    assert {x.path: x.change for x in two.changes()} == {
        "a.txt": "same", "b.txt": "changed", "c.txt": "gone", "d": "data", "e": "new",
    }


@pytest.mark.parametrize(("path", "says"), [
    ("../x", "leads out"), ("a/../../x", "leads out"), ("/etc/passwd", "leads out"),
    ("a//b", "leads out"), ("a/./b", "leads out"), (".git/hooks/x", ".git"), ("a/.GIT/x", ".git"),
    ("git~1", ".git"), (".g\u200bit/x", ".git"), ("a\\b", "backslash"), ("a\nb", "seen"),
    ("a\x1b[2Jb", "seen"), ("a\udcff", "UTF-8"), ("x" * 201, "too long"),
    ("/".join(["abcdefgh"] * 60), "too long"), ("a /b", "blank"), ("a.", "dot"),
    ("\u202egnp.exe", "seen"),
])
def test_names_that_are_refused(path: str, says: str) -> None:
    draft = releases.check(Tree({path: ("100644", 1)}, {"course.toml": TOML}), GIVEN)
    assert not draft.ok
    found = told(draft)
    assert len(found) >= 1
    assert says in found[0][2]
    assert found[0][0].isprintable()


@pytest.mark.parametrize(("mode", "says"), [
    ("120000", "a link"), ("160000", "a submodule"), ("040000", "not a file"),
])
def test_what_is_no_file_is_refused_and_never_read(mode: str, says: str) -> None:
    draft = releases.check(Tree({"x": (mode, 4)}, {"course.toml": TOML}), GIVEN)
    assert [x[0] for x in told(draft)] == ["x"]
    assert says in told(draft)[0][2]


def test_a_link_in_the_place_of_course_toml_is_not_read() -> None:
    draft = releases.check(Tree({"course.toml": ("120000", 11)}, {"a": b""}), GIVEN)
    assert draft.about is None
    assert not draft.ok
    assert told(draft) == [("course.toml", 0, "This is a link. Put the file itself here.")]


@pytest.mark.parametrize(("one", "two"), [
    ("A.txt", "a.txt"), ("week/a", "Week/b"), ("caf\u00e9", "cafe\u0301"),
    ("stra\u00dfe", "strasse"), ("\uac00", "\u1100\u1161"), ("a", "a/b"),
])
def test_names_that_are_one_on_some_computers(one: str, two: str) -> None:
    draft = check({one: b"1", two: b"2"})
    assert [x for x in told(draft) if "the same on some computers" in x[2]]


def test_one_that_is_too_large_is_never_read() -> None:
    huge = {"big.bin": ("100644", 1 << 30)}
    draft = releases.check(Tree(huge, {"course.toml": TOML, "a": b"1"}), GIVEN)
    assert ("big.bin", 0, "The file has 1024.0 MiB, 50 is the most.") in told(draft)
    assert any("together have 1024 MiB" in x[2] for x in told(draft))


def test_too_many_files_are_never_read() -> None:
    many = {f"f{i}": ("100644", 1) for i in range(12)}
    given = replace(GIVEN, limits=Limits(files=10))
    draft = releases.check(Tree(many, {"course.toml": TOML}), given)
    assert not draft.ok
    assert told(draft)[0][2].startswith("There are more than 10 files")


TWICE = book(cell("a", "x"), cell("b", "x"))


@pytest.mark.parametrize(("content", "line", "says"), [
    (b"", 1, "no JSON"), (b"hello\n", 1, "no JSON"), (b"[]", 0, "no JSON"), (b"{}", 0, "cells"),
    (b'{\n "a": 1,\n "b"\n}', 4, "no JSON"), (b"\xff\xfe{}", 0, "UTF-8"),
    (b'{"cells": NaN}', 0, "no"),
    (book(cell("1", metadata={"x": 0})).replace(b'"x": 0', b'"x": 1e999'), 0, "no JSON"),
    (book(cell("1", metadata={"x": 0})).replace(b'"x": 0', b'"x": ' + b"9" * 5000), 0, "no JSON"),
    (b'{"nbformat": 3, "cells": []}', 0, "format 3"), (b"[" * 100_000, 0, "no JSON"),
    (b"[" + b"[]," * 600_000 + b"[]]", 0, "values"),
    (TWICE, TWICE.count(b"\n", 0, TWICE.rindex(b'"id": "x"')) + 1, "the same id"),
])
def test_what_is_called_a_notebook_and_is_none(content: bytes, line: int, says: str) -> None:
    draft = check({"w/a.ipynb": content})
    assert [x[0] for x in told(draft)] == ["w/a.ipynb"]
    _, at, why = told(draft)[0]
    assert says in why
    assert at == line


@pytest.mark.parametrize("depth", [100, 900, 960, 985, 995, 5000])
def test_a_notebook_that_is_nested_deeply_is_read_or_refused(depth: int) -> None:
    deep = b'"x": ' + b"[" * depth + b"]" * depth
    draft = check({"a.ipynb": book(cell("1", metadata={"x": 0})).replace(b'"x": 0', deep)})
    assert draft.ok or told(draft)[0][0] == "a.ipynb"


def test_half_a_character_is_kept_as_an_escape() -> None:
    draft = check({"a.ipynb": book(cell("1")).replace(b'"1"', b'"\\ud800"')})
    assert draft.ok
    assert json.loads(draft.content("a.ipynb"))["cells"][0]["source"] == "\ud800"


def test_a_notebook_as_data_is_not_looked_into() -> None:
    draft = check({"d/a.ipynb": b"x", "course.toml": TOML + b'data = ["d/**"]\n'})
    assert draft.ok
    assert not draft.files[0].notebook


def test_a_notebook_over_its_own_limit() -> None:
    draft = check({"a.ipynb": book(cell("x" * 2000))}, limits=Limits(notebook=1000))
    assert "Clear its outputs" in told(draft)[0][2]


SECRETS = [
    b"-----BEGIN RSA PRIVATE KEY-----\nMIIE", b"-----BEGIN PRIVATE KEY-----",
    b"key = AKIAIOSFODNN7EXAMPLE", b"ghp_" + b"a1B2" * 9, b"github_pat_" + b"a1B2" * 20,
    b"hf_" + b"AbCd" * 9, b"AIza" + b"Sy_x9" * 7, b"xoxb-123456789012-abcdef",
    b"sk-" + b"aB3d" * 12,
    b"sk-proj-" + b"aB_-" * 12, b"sk-ant-api03-" + b"aB_-" * 12, b"glpat-" + b"aB-_5" * 4,
    b'wandb.login(key="' + b"0a1b" * 10 + b'")', b"WANDB_API_KEY=" + b"0a1b" * 10,
    b'JUPYTERHUB_API_TOKEN="' + b"0f" * 16 + b'"', b"pypi-AgE" + b"I" * 60,
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_found_with_its_line(secret: bytes) -> None:
    draft = check({"x.py": b"# one\n\n" + secret + b"\n"})
    assert not draft.ok
    assert told(draft)[0][:2] == ("x.py", 3)
    assert secret.decode() not in told(draft)[0][2]


def test_a_secret_in_a_cell_is_found_and_in_an_output_goes_with_it() -> None:
    key = "hf_" + "AbCd" * 9
    output = {"output_type": "stream", "name": "stdout", "text": key}
    assert check({"a.ipynb": book(cell("1", outputs=[output]))}).ok
    written = book(cell("1"), cell(f'token = "{key}"'))
    draft = check({"a.ipynb": written})
    line = written.count(b"\n", 0, written.index(key.encode())) + 1
    assert [x[:2] for x in told(draft)] == [("a.ipynb", line)]


@pytest.mark.parametrize("text", [
    b"sk-estimator-doc-link-fitted-aaaaaaaaaaaaaaaaaaaa", b"the private key -----BEGIN PUBLIC KEY",
    b"hf_hub_download(repo)", b"0123456789abcdef0123456789abcdef01234567", b"AKIA", b"ghp_xxx",
    b'<div class="sk-container-id-1">', b"-----BEGIN CERTIFICATE-----", b"JUPYTERHUB_API_TOKEN",
])
def test_what_is_no_secret_is_let_through(text: bytes) -> None:
    assert check({"x.py": text}).ok


@pytest.mark.parametrize("name", [
    ".env", "week/.env", ".env.local", "id_rsa", "keys/ID_ED25519", "server.pem", ".netrc",
    "kaggle.json", "kernel-0c1d.json", "prod.env",
])
def test_files_that_mostly_hold_secrets(name: str) -> None:
    assert [x[0] for x in told(check({name: b""}))] == [name]


def test_an_example_of_an_env_file_is_none() -> None:
    assert check({".env.example": b"KEY=\n"}).ok


@pytest.mark.parametrize(("author", "group", "ok"), [
    (TEACHER, "", True), (TEACHER, "ml", True), (TEACHER, "vision", False),
    (Author("x", frozenset({"vision"})), "", False), (Author("x"), "", False),
    (Author("op", operator=True), "vision", True),
    (Author("x", frozenset({"vision", "ml"})), "vision", True),
])
def test_who_may_publish_for_which_group(author: Author, group: str, *, ok: bool) -> None:
    draft = check({"a": b"1"}, author=author, group=group)
    assert draft.ok is ok
    if not ok:
        assert told(draft)[0][:2] == ("course.toml", 2)


def test_a_group_without_anybody_is_a_note() -> None:
    draft = check({"a": b"1"}, groups=frozenset({"vision"}))
    assert draft.ok
    assert "Nobody is in the group ml" in told(draft, fatal=False)[0][2]


def test_without_course_toml_or_with_nothing_beside_it() -> None:
    draft = releases.check(Files({"a": b"1"}), GIVEN)
    assert "There is no course.toml" in told(draft)[0][2]
    assert "nothing to hand out" in told(check({}))[0][2]
    assert not check({}).ok


def test_all_problems_are_told_at_once_by_file_and_line() -> None:
    draft = check({
        "z.ipynb": b"{", "b.py": b"\nAKIAIOSFODNN7EXAMPLE", "course.toml": b"x = 1\n",
        "a.ipynb": book(cell("1", None)),
    })
    assert [(x[0], x[1]) for x in told(draft)] == [
        ("b.py", 2), ("course.toml", 1), ("z.ipynb", 1),
    ]
    assert [x.path for x in draft.problems] == sorted(x.path for x in draft.problems)


def test_at_most_a_hundred_are_told_and_no_refusal_is_hidden_by_a_note() -> None:
    files = {f"n{i:03}.ipynb": book(cell("1", None)) for i in range(150)}
    draft = check({**files, "z.ipynb": b"{"})
    assert len(draft.problems) == 100
    assert draft.more == 51
    assert told(draft)[0][0] == "z.ipynb"


def test_what_cannot_be_seen_is_shown_as_an_escape() -> None:
    assert shown("a\x1b[31m\u202eb\udcff") == "a\\x1b[31m\\u202eb\\xff"
