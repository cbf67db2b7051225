"""A withdrawn release's read-only data: who was given links keeps them, nobody else reads them."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hub.core.roster import parse
from hub.handout import Handouts
from hub.publishing import Publishing
from tests.edge.pushing import Work
from tests.floor.floors import floor_at
from tests.floor.publishings import ROSTER, TOML, House

DATA = TOML + 'data = ["data/**"]\n'
ONE, TWO, THREE = (
    {"a.txt": b"1", "data/x.csv": x} for x in (b"first", b"the answers", b"third")
)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with floor_at(tmp_path) as floor:
        made = House(floor)
        floor.broker.set_members(parse(ROSTER + "ben,ml,student\n", "roster"))
        yield made


@pytest.fixture
def handouts(house: House) -> Iterator[Handouts]:
    made = Handouts(house.publishing)
    yield made
    made.close()


def look(house: House) -> None:
    """What the service does every minute."""
    house.clock.now += timedelta(minutes=2)
    house.publishing.recover()


def link(house: House, user: str) -> str:
    home = house.floor.broker.edges.homes.path(user)
    return str((home / "courses/torch/data/x.csv").readlink())


def test_data_that_nobody_was_given_go_at_once_and_those_of_others_stay(house: House) -> None:
    house.publish(ONE, DATA)
    house.publish(TWO, DATA)
    assert house.data() == {"1/data/x.csv", "2/data/x.csv"}
    house.publishing.withdraw("torch", 2, "teacher")
    assert house.data() == {"1/data/x.csv"}
    top = house.publishing.root.parent / "coursedata"
    assert [x.name for x in top.iterdir()] == ["torch"]


def test_who_was_given_them_keeps_them_until_there_is_a_newer_release(
    house: House, handouts: Handouts
) -> None:
    house.publish(ONE, DATA)
    house.publish(TWO, DATA)
    handouts.hand_out("ana", "torch")
    house.publishing.withdraw("torch", 2, "teacher")
    look(house)
    assert link(house, "ana") == "/srv/courses/torch/2/data/x.csv"
    assert house.data() == {"1/data/x.csv", "2/data/x.csv"}
    house.publish(THREE, DATA)
    look(house)
    assert "2/data/x.csv" in house.data()
    handouts.hand_out("ana", "torch")
    assert link(house, "ana") == "/srv/courses/torch/3/data/x.csv"
    look(house)
    assert house.data() == {"1/data/x.csv", "3/data/x.csv"}


def test_who_goes_back_to_it_by_an_undo_has_them_again(house: House, handouts: Handouts) -> None:
    house.publish(TWO, DATA)
    handouts.hand_out("ana", "torch")
    house.publishing.withdraw("torch", 1, "teacher")
    house.publish(THREE, DATA)
    made = handouts.hand_out("ana", "torch")
    look(house)
    assert house.data() == {"2/data/x.csv"}
    assert made is not None
    handouts.undo("ana", "torch", made.update)
    look(house)
    assert link(house, "ana") == "/srv/courses/torch/1/data/x.csv"
    top = house.publishing.root.parent / "coursedata/torch"
    assert (top / "1/data/x.csv").read_bytes() == b"the answers"
    assert (top / "2/data/x.csv").read_bytes() == b"third"


def test_who_has_left_the_group_keeps_them_for_nobody(house: House, handouts: Handouts) -> None:
    house.publish(TWO, DATA)
    handouts.hand_out("ana", "torch")
    house.publishing.withdraw("torch", 1, "teacher")
    assert house.data() == {"1/data/x.csv"}
    house.floor.broker.set_members(parse(ROSTER.replace("ana,ml", "ana,vision"), "roster"))
    look(house)
    assert house.data() == set()


def test_a_service_that_is_killed_while_it_withdraws_leaves_nothing_to_be_read(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.publish(ONE, DATA)
    house.publish({**TWO, "leak": b"oh no"}, DATA)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Publishing, "_show", killed)
        with pytest.raises(KeyboardInterrupt):
            house.publishing.withdraw("torch", 2, "teacher")
    Publishing(house.floor.broker, clock=house.clock).recover()
    assert set(house.members()) == {"a.txt", "data/x.csv"}
    assert house.data() == {"1/data/x.csv"}
    repo = house.publishing.members_repo("torch").path
    work = Work(house.publishing.root.parent / "look")
    assert work.run(f"--git-dir={repo}", "cat-file", "-e", work.blob(b"oh no")).returncode != 0
    tip = house.publishing.members_repo("torch").tip()
    Publishing(house.floor.broker, clock=house.clock).recover()
    assert house.publishing.members_repo("torch").tip() == tip


def test_what_was_withdrawn_by_an_older_service_goes_when_a_new_one_begins(house: House) -> None:
    house.publish(ONE, DATA)
    house.publishing.store.withdraw("torch", 1, "teacher", house.clock.now)
    left = house.publishing.root.parent / "coursedata/.gone-0123"
    left.mkdir()
    (left / "x").write_bytes(b"of one that was killed")
    house.publishing.recover()
    assert house.data() == set()
    assert not left.exists()
