"""A start hands courses out before the container is made, and never fails because of one."""

import json
import os
from collections.abc import Iterator

import pytest

from hub.core.courses import Author
from hub.publishing import Publishing
from tests.face.hubs import RunningHub, running_hub
from tests.floor.classes import cells, dumped
from tests.people import Person

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(240)]
IMAGE = "madang/notebook:latest"
TOML = b'title = "Torch"\ngroup = "ml"\ndata = ["data/**"]\n'


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(
        tmp_path_factory.mktemp("hub"), "mdcourse", images=json.dumps({IMAGE: "PyTorch"}),
        memory_limit="2G",
    ) as made:
        yield made


def publish(hub: RunningHub, name: str) -> None:
    publishing = Publishing(hub.broker)
    files = {
        "course.toml": TOML, "a.ipynb": dumped(*cells(a="x = 1")), "data/d.csv": b"1,2\n",
    }
    publishing.publish(publishing.check(files, Author("prof", frozenset({"ml"})), name))


def test_a_course_and_its_data_are_there_when_the_server_is(hub: RunningHub) -> None:
    publish(hub, "torch")
    ana = Person(hub, "ana")
    ana.log_in()
    ana.start(profile="cpu")
    hub.wait(ana.ready, "ana's server is ready", timeout=120)
    folder = hub.broker.edges.homes.path("ana") / "courses" / "torch"
    assert (folder / "a.ipynb").exists()
    made = hub.docker.inspect_container(f"{hub.name}-ana")
    binds = dict(x.split(":", 1) for x in made["HostConfig"]["Binds"])
    assert binds[str(hub.broker.settings.data / "coursedata/torch")] == "/srv/courses/torch:ro"

    def run(command: str) -> tuple[int, str]:
        job = hub.docker.exec_create(made["Id"], ["sh", "-c", command])["Id"]
        output = hub.docker.exec_start(job).decode()
        return hub.docker.exec_inspect(job)["ExitCode"], output

    assert run("cat ~/courses/torch/data/d.csv") == (0, "1,2\n")
    assert run("echo more >> ~/courses/torch/data/d.csv")[0] != 0
    assert run("echo '# mine' >> ~/courses/torch/own.py && cat ~/courses/torch/own.py")[0] == 0
    ana.stop()
    hub.wait(lambda: not ana.server(), "it is stopped")


def test_a_course_that_cannot_be_handed_out_keeps_no_server_down(hub: RunningHub) -> None:
    publish(hub, "second")
    home = hub.broker.edges.homes.ensure("bo")
    (home / "courses").symlink_to("/etc")
    os.lchown(home / "courses", 1000, 1000)
    bo = Person(hub, "bo")
    bo.log_in()
    bo.start(profile="cpu")
    hub.wait(bo.ready, "bo's server is ready", timeout=120)
    assert "bo is not given what is new in second" in (hub.folder / "hub.log").read_text()
    bo.stop()
    hub.wait(lambda: not bo.server(), "it is stopped")
