"""The 22 cases of the research by name, as they must come out."""

import json
from dataclasses import dataclass, field

import nbformat
import pytest

from hub.core.course import Merged, merge
from hub.core.courselines import parses
from tests.core.coursecases import BY_NAME, CASES, LAB, Case, at

IDS = [id for id, _ in LAB]


@dataclass(frozen=True)
class Outcome:
    """Cells by their ids ("": not looked at), what is told, and what waits for the student."""

    told: tuple[tuple[str, str], ...]
    ids: list[str] = field(default_factory=lambda: IDS)
    conflicts: int = 0


def _with(behind: str, *ids: str) -> list[str]:
    place = IDS.index(behind) + 1 if behind else 0
    return IDS[:place] + list(ids) + IDS[place:]


def _without(*ids: str) -> list[str]:
    return [x for x in IDS if x not in ids]


OUTCOMES = {
    "c1": Outcome((("c11", "taken"), ("c21", "kept"))),
    "c2a": Outcome((("c12", "beside"),), _with("c12", "c12-new"), 1),
    "c2b": Outcome((("c21", "line-merged"),)),
    "c2c": Outcome((("a51", "beside"),), _with("a51", "a51-new"), 1),
    "c3a": Outcome((("q51", "taken"),)),
    "c3b": Outcome((("c11", "taken"),)),
    "c3c": Outcome((("q51", "taken"),)),
    "c4a": Outcome((("c11", "taken"),), _with("c11", "c-own", "m-own")),
    "c4b": Outcome((("c13", "added"),), _with("c11", "c-like", "m-own", "c13")),
    "c4c": Outcome((("q53", "added"),), _with("a52", "c-own", "q53")),
    "c5a": Outcome((("a51", "removed-kept"), ("q51", "removed")), _without("q51")),
    "c5b": Outcome((("c41", "removed-kept"),)),
    "c5c": Outcome((("c32", "deleted-shown"),),
                   [x if x != "c32" else "c32-new" for x in IDS], 1),
    "c5d": Outcome((("c32", "removed"),), _without("c32")),
    "c6a": Outcome((("h4", "moved"), ("c41", "moved")),
                   ["t0", "c01", "h1", "c11", "c12", "h2", "c21", "h4", "c41", "h3", "c31", "c32",
                    "h5", "q51", "a51", "a52"]),
    "c6b": Outcome((("a52", "kept"), ("a52", "moved"), ("a51", "kept")),
                   [*IDS[:-2], "a52", "a51"]),
    "c6c": Outcome((("c21", "kept"), ("c21", "moved")),
                   ["t0", "c01", "h1", "c11", "c12", "h2", "h3", "c31", "c32", "c21", "h4", "c41",
                    "h5", "q51", "a51", "a52"]),
    "c7a": Outcome((("fresh003", "taken"), ("fresh006", "kept")),
                   [f"fresh{i:03}" for i in range(16)]),
    "c7b": Outcome((("c11", "taken"), ("c21", "kept"))),
    "c7c": Outcome((("c11", "taken"), ("c21", "kept"), ("", "kept"))),
    "c8": Outcome((("c41", "beside"),), _with("c41", "c41-new", "c-rest"), 1),
    "c9": Outcome((("h0", "added"), ("c31", "beside")),
                  ["h0", *_with("c31", "c31-new")], 1),
}


def _merged(case: Case) -> Merged:
    return merge(case.base, case.new, case.mine)


@pytest.mark.parametrize("case", CASES, ids=lambda x: f"{x.name} {x.says}")
def test_of_the_22_cases(case: Case) -> None:
    found, outcome = _merged(case), OUTCOMES[case.name]
    book = found.notebook
    nbformat.validate(book)
    assert [x["id"] for x in book["cells"]] == outcome.ids
    assert tuple((x.id, x.fate) for x in found.cells) == outcome.told
    assert found.conflicts == outcome.conflicts
    sources = [x["source"] for x in book["cells"]]
    text = "\n".join([*sources, json.dumps(book)])
    assert all(x in text for x in (*case.student, *case.instructor))
    assert set(case.verbatim) <= set(sources)
    assert all(parses(x["source"]) for x in book["cells"] if x["cell_type"] == "code")


@pytest.mark.parametrize("case", CASES, ids=lambda x: x.name)
def test_none_of_them_changes_when_merged_again(case: Case) -> None:
    once = _merged(case).notebook
    for base in (case.base, case.new):
        assert json.dumps(merge(base, case.new, once).notebook) == json.dumps(once)


def test_there_are_22_cases() -> None:
    assert set(OUTCOMES) == set(BY_NAME)
    assert len(CASES) == 22


def test_a_run_of_the_students_stays_with_code_that_stays_and_goes_with_code_that_goes() -> None:
    found = _merged(BY_NAME["c3b"]).notebook
    taken, ran = (found["cells"][at(found, x)] for x in ("c11", "c12"))
    assert (taken["outputs"], taken["execution_count"]) == ([], None)
    assert "execution" not in taken["metadata"]
    assert ran["outputs"]
    assert ran["execution_count"] == 5


def test_where_both_ran_a_notebook_the_students_outputs_stay() -> None:
    found = _merged(BY_NAME["c3c"]).notebook
    outputs = [y["text"] for x in found["cells"] for y in x.get("outputs", ())]
    assert outputs
    assert all(x.startswith("STUDENT") for x in outputs)


def test_a_notebook_of_format_4_4_is_of_4_5_afterwards() -> None:
    found = _merged(BY_NAME["c7b"]).notebook
    assert (found["nbformat"], found["nbformat_minor"]) == (4, 5)


def test_the_students_kernel_stays_and_the_instructors_is_told() -> None:
    found = _merged(BY_NAME["c7c"])
    assert found.notebook["metadata"]["kernelspec"]["display_name"] == "STUDENT's"
    assert "kernelspec" in str(found.cells[-1].why)
