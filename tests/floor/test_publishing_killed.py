"""Publishing that is cut short: whole or not at all, and the tick goes on with it."""

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hub.core.accepted import Accepted, as_json, of_json
from hub.errors import NotFound, Refusal, Unavailable
from tests.edge.pushing import Work
from tests.floor.floors import floor_at
from tests.floor.publishings import BOOK, SCHEDULE, TEACHER, TOML, House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with floor_at(tmp_path) as floor:
        yield House(floor)


def accepted(house: House, files: Mapping[str, bytes], toml: str = TOML) -> Accepted:
    """As after a push that was checked and taken, when git has not moved main yet."""
    publishing, repo = house.publishing, house.publishing.repo("torch")
    draft = publishing.check({"course.toml": toml.encode(), **files}, TEACHER, "torch")
    assert draft.ok
    for one in draft.files:
        publishing.blobs.put(draft.content(one.path))
    repo.make()
    work = Work(publishing.root.parent / "work")
    work.put("x", os.urandom(4).hex())
    commit = work.commit()
    work("push", "-q", str(repo.path), f"{commit}:refs/drafts/x")
    made = Accepted("torch", commit, TEACHER, "notes", toml, "UTC", draft.files)
    publishing.accept(made)
    return made


def test_a_push_that_was_taken_is_published_by_the_tick_when_main_has_it(house: House) -> None:
    one = accepted(house, {"a": b"1"})
    house.publishing.recover()
    assert house.publishing.store.course("torch") is None
    house.publishing.repo("torch").move("refs/heads/main", one.commit, "")
    house.publishing.recover()
    made = house.publishing.release("torch", 1)
    assert (made.commit, made.by, made.notes) == (one.commit, "teacher", "notes")
    assert house.members() == {"a": b"1"}
    house.publishing.recover()
    assert house.publishing.publish_commit("torch", one.commit) == made
    assert len(house.publishing.releases("torch")) == 1
    assert not list(house.publishing.root.glob("*/pending/*"))


def test_a_push_that_never_came_is_forgotten_after_days(house: House) -> None:
    one = accepted(house, {"a": b"1"})
    (path,) = house.publishing.root.glob("*/pending/*.json")
    house.publishing.recover()
    assert path.exists()
    os.utime(path, (0, 0))
    house.clock.now = datetime.now(UTC)
    house.publishing.recover()
    assert not path.exists()
    with pytest.raises(NotFound):
        house.publishing.publish_commit("torch", one.commit)


def test_one_that_others_have_pushed_upon_is_no_release_of_its_own(house: House) -> None:
    one = accepted(house, {"a": b"1"})
    two = accepted(house, {"a": b"2"})
    house.publishing.repo("torch").move("refs/heads/main", two.commit, "")
    with pytest.raises(Refusal, match="on top of this"):
        house.publishing.publish_commit("torch", one.commit)
    house.publishing.recover()
    assert [x.commit for x in house.publishing.releases("torch")] == [two.commit]


def test_what_is_accepted_comes_back_as_it_was(house: House) -> None:
    one = accepted(house, {"a": b"1", "b.ipynb": BOOK}, TOML + '[visible]\n"a" = 2999-01-01\n')
    assert of_json(json.loads(json.dumps(as_json(one)))) == one


def test_an_image_that_went_away_meanwhile_stops_no_release(house: House) -> None:
    one = accepted(house, {"a.ipynb": BOOK}, TOML + SCHEDULE)
    gone = replace(one, about=one.about.replace("1g.5gb", "9g.99gb"))
    house.publishing.accept(gone)
    house.publishing.repo("torch").move("refs/heads/main", one.commit, "")
    house.publishing.recover()
    assert house.publishing.release("torch", 1)
    assert not list(house.publishing.root.glob("*/pending/*"))


STEPS = (
    "hub.edge.blobs.Blobs.put", "hub.edge.repo.Repo.commit", "hub.publishing.Publishing.accept",
    "hub.edge.repo.Repo.move", "hub.edge.repo.Repo.drop",
    "hub.edge.courserows.CourseStore.add_release", "hub.showing.Showing.show",
    "hub.showing.Showing.lay_out", "hub.showing.Showing._write",
    "hub.courseschedules.CourseSchedules.apply",
)
FILES = {"a.ipynb": BOOK, "data/x": b"1"}
WHOLE = TOML + 'data = ["data"]\n' + SCHEDULE


def _killed(folder: Path, step: str, *, after: bool) -> None:
    """In a process of its own: publish, and be killed before or after a step."""
    module, kind, name = step.rsplit(".", 2)
    owner = getattr(__import__(module, fromlist=[kind]), kind)
    real = getattr(owner, name)

    def dying(*a: Any, **k: Any) -> Any:
        if after:
            real(*a, **k)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, dying)
    with floor_at(folder) as floor:
        House(floor).publish(FILES, WHOLE)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_it_is_out_whole_or_not_at_all_and_can_be_published_again(
    tmp_path: Path, step: str, *, after: bool
) -> None:
    process = multiprocessing.get_context("fork").Process(
        target=_killed, args=(tmp_path, step), kwargs={"after": after})
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    with floor_at(tmp_path) as floor:
        house = House(floor)
        house.publishing.recover()
        found = house.publishing.releases("torch")
        if found:
            assert set(house.members()) == {"a.ipynb", "data/x"}
            assert house.data() == {"1/data/x"}
            assert len(house.schedules.list(source="course:torch")) == 1
            for one in found[0].files:
                house.publishing.blob(one.sha256)
        else:
            assert house.publishing.store.course("torch") is None
        made = house.publish(FILES | {"b": b"2"}, WHOLE)
        assert made.number == len(found) + 1
        assert set(house.members()) == {"a.ipynb", "data/x", "b"}
        assert [x for x in house.publishing.repo("torch").refs() if "drafts" in x] == []


def test_a_full_disk_publishes_nothing_and_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = house.publishing.check({"course.toml": TOML.encode(), "a": b"1"}, TEACHER, "torch")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="No space"):
            house.publishing.publish(draft)
    assert house.publishing.store.course("torch") is None
    assert house.publishing.publish(draft).number == 1
