"""A run with secrets, in a real container: it has them, and nothing that is kept shows them."""

import json
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from hub.core.roster import Member, Role
from hub.core.runs import RunStage
from hub.core.secret import Secret
from tests.floor.houses import House, house_at

pytestmark = pytest.mark.docker
TOKEN, KEY = b"tok-5f4dcc3b5aa7", b"-----BEGIN-----\nc2VjcmV0IG9mIGFuYQ\n-----END-----\n"
USE = """
import os, pathlib, stat
key = pathlib.Path("/run/secrets/KEY")
print(os.environ["TOKEN"], key.read_text(), os.environ["KEY_FILE"])
print(stat.filemode(key.stat().st_mode), key.owner(), sorted(os.listdir("/run/secrets")))
print("variable:", "KEY" in os.environ)
for how in (lambda: key.unlink(), lambda: key.write_text("mine"), lambda: key.chmod(0o644)):
    try:
        how()
    except OSError as e:
        print("not to be changed:", e.strerror)
"""
HOLD = """
import pathlib, time
print("it holds", flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.1)
raise RuntimeError("so much for " + os.environ["TOKEN"])
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with house_at(tmp_path) as made:
        made.broker.set_members((Member("ana", "ml", Role.STUDENT),))
        handing = made.batch.mover.secrets
        handing.put(Secret("TOKEN", ("ml",), env=True), TOKEN + b"\n")
        handing.put(Secret("KEY", users=("ana",)), KEY)
        yield made


def test_it_has_them_and_nothing_that_is_kept_does(house: House) -> None:
    run = house.submit(USE, HOLD, secrets=("TOKEN", "KEY"))
    house.until(lambda: b"it holds" in house.batch.logs(run.id), "it is at work")
    api = docker.APIClient(version="auto")
    (row,) = api.containers(filters={"label": f"madang.lease={run.id}"})
    inspected = json.dumps(api.inspect_container(row["Id"]))
    # what `docker commit` would keep
    layer = [x["Path"] for x in api.diff(row["Id"])]
    job = b"".join(api.get_archive(row["Id"], "/run/madang")[0])
    api.close()
    folder = house.home() / run.folder
    (folder / "go").touch()
    house.until(lambda: house.batch.get(run.id).done, "it has ended")
    ended = house.batch.get(run.id)
    assert ended.stage is RunStage.FAILED
    said = house.batch.logs(run.id).decode()
    assert "*** ***" in said, said
    assert "-r-------- student ['KEY', 'TOKEN']" in said
    assert "variable: False" in said
    assert said.count("not to be changed: ") == 3
    assert ended.error["evalue"] == "so much for ***"
    files = house.batch.files
    kept = [said, inspected, str(ended), files.output(run.id).decode(),
            json.dumps(files.record(run.id)),
            *(x.read_text() for x in folder.rglob("*") if x.is_file())]
    for value in (TOKEN.decode(), "c2VjcmV0IG9mIGFuYQ"):
        assert not [x for x in kept if value in x]
        assert value.encode() not in job
    assert "/run/madang/job.json" in layer
    assert not [x for x in layer if x.startswith("/run/secrets/")]
    assert "/run/secrets" in inspected


def test_they_are_gone_from_the_machine_when_the_run_has_ended(house: House) -> None:
    run = house.submit("1", secrets=("TOKEN",))
    memory = house.batch.mover.secrets._vault._memory
    house.until((memory / run.id / "TOKEN").exists, "it was handed out")
    house.until(lambda: house.batch.get(run.id).stage is RunStage.SUCCEEDED, "it went well")
    house.until(lambda: not (memory / run.id).exists(), "nothing is left in memory")
