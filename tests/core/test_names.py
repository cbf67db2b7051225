import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hub.core.names import safe_name

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)


@given(NAMES)
@example("../../etc/passwd")
@example("-rf /")
@example("김철수")
@example("a" * 200)
@example("A")
def test_a_safe_name_is_safe_in_a_path_a_label_and_a_shell(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]{1,48}", safe_name(name))


@given(st.lists(NAMES, unique=True, min_size=2, max_size=2))
@example(["Kim", "kim"])
@example(["a-2d", "a-"])
@example(["-", "-2d"])
@example(["x" * 60, "x" * 61])
@example(["김" * 30, "김" * 31])
def test_different_names_never_give_the_same_text(names: list[str]) -> None:
    assert safe_name(names[0]) != safe_name(names[1])


def test_plain_names_stay_as_they_are() -> None:
    assert safe_name("student1") == "student1"
    assert safe_name("a" * 48) == "a" * 48
    assert safe_name("kim.lee") == "kim-2elee"


def test_a_long_name_is_cut_and_cannot_be_typed_by_another() -> None:
    cut = safe_name("a" * 49)
    assert len(cut) == 48
    assert safe_name(cut) != cut


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        safe_name("")
