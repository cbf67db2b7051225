"""Who may use which secret, told at submission and again at the start."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hub.core.roster import Member, Role
from hub.core.runs import Run, RunStage
from hub.core.secret import Secret
from hub.errors import BadInput, NotFound, Refusal
from hub.handing import Handing
from tests.face.running import until
from tests.floor.floors import Floor, floor_at

ANA, BO = Member("ana", "ml", Role.STUDENT), Member("bo", "vision", Role.STUDENT)


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    with floor_at(tmp_path) as made:
        made.broker.set_members((ANA, BO, Member("ana", "nights", Role.STUDENT)))
        handing = made.batch.mover.secrets
        handing.put(Secret("GROUPS", ("nights",), env=True), b"of a group\n")
        handing.put(Secret("BOS", users=("bo",)), b"of bo")
        yield made
        made.batch.mover.secrets._vault.leave()


def handing(floor: Floor) -> Handing:
    return floor.batch.mover.secrets


def started(floor: Floor, **more: object) -> Run:
    run = floor.submit(**more)
    floor.tick()
    until(lambda: floor.stage(run) is not RunStage.WAITING, "it has its turn")
    return floor.batch.get(run.id)


def test_a_run_gets_what_it_asks_for_and_docker_is_told_names_only(floor: Floor) -> None:
    run = started(floor, secrets=("GROUPS",))
    (spec,) = floor.engine.specs
    (folder,) = [k for k, x in spec.volumes.items() if x["bind"] == "/run/secrets"]
    assert spec.volumes[folder]["mode"] == "ro"
    assert (Path(folder) / "GROUPS").read_bytes() == b"of a group"
    assert b'"secrets": [{"name": "GROUPS", "path": "/run/secrets/GROUPS", "env": true}]' in (
        spec.files["/run/madang/job.json"])
    assert "of a group" not in str(spec)
    assert run.parameters == {}


def test_a_run_without_secrets_has_no_mount(floor: Floor) -> None:
    started(floor)
    (spec,) = floor.engine.specs
    assert "/run/secrets" not in [x["bind"] for x in spec.volumes.values()]
    assert b'"secrets": []' in spec.files["/run/madang/job.json"]


def test_nobody_learns_whether_there_is_one_that_they_may_not_use(floor: Floor) -> None:
    said = []
    for name in ("BOS", "NONE"):
        with pytest.raises(BadInput) as e:
            floor.submit(secrets=("GROUPS", name))
        assert e.value.reason == "secret"
        said.append(e.value.message.replace(name, "X"))
    assert said[0] == said[1]
    assert "operator" in said[0]
    assert not floor.batch.list()
    assert not list(floor.broker.settings.data.glob("runs/*"))


@pytest.mark.parametrize("names", [("../passwd",), ("",), ("a b",), ("A" * 65,),
                                   tuple(f"S{i}" for i in range(21))])
def test_what_is_no_name_is_refused(floor: Floor, names: tuple[str, ...]) -> None:
    with pytest.raises(BadInput) as e:
        floor.submit(secrets=names)
    assert e.value.reason == "secret"


@pytest.mark.parametrize("change", ["removed", "forbidden", "left"])
def test_what_was_allowed_at_submission_is_looked_at_again_and_not_retried(
    floor: Floor, change: str
) -> None:
    run = floor.submit(secrets=("GROUPS",), retries=3)
    if change == "removed":
        handing(floor).remove("GROUPS")
    elif change == "forbidden":
        handing(floor).put(Secret("GROUPS", users=("bo",)), None)
    else:
        floor.broker.set_members((ANA, BO))
    floor.tick(2)
    until(lambda: floor.batch.get(run.id).done, "it has ended")
    ended = floor.batch.get(run.id)
    assert (ended.stage, ended.attempt, ended.retries) == (RunStage.FAILED, 1, 3)
    assert "There is no secret GROUPS that ana may use" in ended.message
    assert floor.engine.specs == []


def test_what_is_laid_out_goes_with_the_run_and_not_before(floor: Floor) -> None:
    run = started(floor, secrets=("GROUPS",))
    folder = handing(floor)._vault._memory / run.lease_id
    handing(floor).remove("GROUPS")
    floor.tick(2)
    assert (folder / "GROUPS").exists()
    floor.engine.exit(run.lease_id, 0)
    floor.tick(2)
    assert floor.stage(run) is RunStage.SUCCEEDED
    assert not folder.exists()


def test_a_sweep_and_a_rerun_ask_for_the_same(floor: Floor) -> None:
    run = started(floor, secrets=("GROUPS",))
    floor.engine.exit(run.lease_id, 0)
    floor.tick(2)
    assert floor.batch.rerun(run.id, {}).run.secrets == ("GROUPS",)
    handing(floor).remove("GROUPS")
    with pytest.raises(BadInput):
        floor.batch.rerun(run.id, {})


def test_who_may_use_it_changes_without_its_value(floor: Floor) -> None:
    handing(floor).put(Secret("BOS", ("ml",)), None)
    handing(floor).check("ana", ("BOS",))
    with pytest.raises(BadInput):
        handing(floor).check("bo", ("BOS",))
    assert handing(floor)._vault.get("BOS") == (Secret("BOS", ("ml",)), b"of bo")
    with pytest.raises(NotFound):
        handing(floor).put(Secret("NEW", ("ml",)), None)


@pytest.mark.parametrize(("given", "kept"), [
    (b"one line\n", b"one line"), (b"one line\r\n", b"one line"), (b"a\nb\n", b"a\nb\n"),
    (b" spaces \n", b" spaces "), (b"\xff\0", b"\xff\0"),
])
def test_the_end_of_a_line_is_no_part_of_a_word(floor: Floor, given: bytes, kept: bytes) -> None:
    assert handing(floor).put(Secret("A", ("ml",)), given) == kept


@pytest.mark.parametrize(("wanted", "given"), [
    (Secret("A", ("ml",)), b""), (Secret("A", ("ml",)), b"\n"), (Secret("A"), b"1"),
    (Secret("A", ("ml",)), b"x" * 70_000), (Secret("A", ("ml",), env=True), b"\xff"),
    (Secret("A", ("ml",), env=True), b"a\0b"), (Secret("1A", ("ml",)), b"1"),
])
def test_what_cannot_be_kept_is_refused(floor: Floor, wanted: Secret, given: bytes) -> None:
    with pytest.raises(Refusal):
        handing(floor).put(wanted, given)
    assert replace(wanted, name="A") not in handing(floor).list()


def test_strangers_are_told(floor: Floor) -> None:
    wanted = Secret("A", ("ml", "m1"), ("ana", "anna"))
    assert handing(floor).strangers(wanted) == ("m1", "anna")
