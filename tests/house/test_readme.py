"""Everything that a person can set, call or watch stands in the README."""

import re
import tomllib
from datetime import UTC, datetime
from typing import Any

import pytest
import typer

from hub.config import Settings
from hub.core import coursefile
from hub.face import cli
from tests.house import tables
from tests.house.sources import ROOT

README = tables.README.read_text()


def verbs(command: Any, name: str) -> list[str]:
    below = getattr(command, "commands", None)  # typer's groups are no click.Group
    return [x for k, v in below.items() for x in verbs(v, f"{name} {k}")] if below else [name]


def _told(verb: str) -> bool:
    """`madang run list` may stand as itself, or as `list` in the row of `madang run …`."""
    *above, last = verb.split()
    row = rf"^\| `{' '.join(above)} .*`{last}`.*\|"
    return f"`{verb}`" in README or re.search(row, README, re.MULTILINE) is not None


@pytest.mark.parametrize("verb", verbs(typer.main.get_command(cli.app), "madang"))
def test_every_verb_is_told(verb: str) -> None:
    assert _told(verb)


def test_no_verb_is_made_up() -> None:
    known = set(verbs(typer.main.get_command(cli.app), "madang"))
    told = re.findall(r"^\| (`madang [^|]*) \|", README, re.MULTILINE)
    assert told
    for row in told:
        first, *rest = re.findall(r"`([^`]+)`", row)
        group = first.rpartition(" ")[0]
        assert {first, *(f"{group} {x}" for x in rest)} <= known


def test_every_make_target_is_told_and_none_is_made_up() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    told = set(re.findall(r"^\| `make ([a-z]+)` \|", README, re.MULTILINE))
    assert targets == told


def test_the_tables_are_those_of_the_code() -> None:
    assert tables.filled(README) == README, "run: python tests/house/tables.py"


def test_the_readmes_examples_are_accepted() -> None:
    course, settings = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    about = coursefile.read(course.encode(), zone="UTC")
    assert about.is_data("data/mnist.npz")
    assert about.visible_from("week2/cnn.ipynb") == datetime(2026, 11, 30, tzinfo=UTC)
    assert Settings(**tomllib.loads(settings)).authenticator == "oidc"


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target.replace("\\", "")).exists(), target
    headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", x).lower().replace(" ", "-") for x in headings}
    for anchor in re.findall(r"\]\(#([^)]+)\)", README):
        assert anchor in anchors, anchor
