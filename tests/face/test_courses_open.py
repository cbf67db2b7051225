"""What is open in Lab, told to the service: neither page nor terminal writes behind it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.face.courses import FIRST, book, call, file_of, published, updated
from tests.face.running import Running, error, running

NOTEBOOK = "week1/tensors.ipynb"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("open"), snapshot_mib=5) as made:
        made.app.state.attending._looked = float("inf")
        yield made


def test_nothing_writes_behind_what_lab_has_told_to_be_open(service: Running) -> None:
    published(service, FIRST)
    updated(service, "bo")
    published(service, FIRST | {NOTEBOOK: book("a = 8")})
    update = updated(service, "bo")["update"]
    # a name that no release can have hides nothing, nor does what is not one's own
    told = {"files": {"dl": [NOTEBOOK, NOTEBOOK, "a\u202fb.ipynb"], "other": ["x"]}}
    assert call(service, "bo", "PUT", "/open", json=told).json() == {"open": 2}
    for path, body in (
        ("fresh", {"path": NOTEBOOK}), (f"updates/{update}/undo", {}),
        ("cells", {"path": NOTEBOOK, "cell": "a", "take": "instructor"}),
    ):
        answer = call(service, "bo", "POST", f"/dl/{path}", json=body)
        assert NOTEBOOK in error(answer, 409, "course-open")
    last = published(service, FIRST | {NOTEBOOK: book("a = 9")})
    made = call(service, "bo", "POST", "/dl/update", json={}).json()
    assert {x["path"]: x["fate"] for x in made["files"]}[NOTEBOOK] == "waiting"
    assert "a = 8" in file_of(service, "bo", NOTEBOOK).read_text()
    call(service, "bo", "PUT", "/open", json={"files": {}})
    assert updated(service, "bo")["release"] == last
    assert "a = 9" in file_of(service, "bo", NOTEBOOK).read_text()


@pytest.mark.parametrize("files", [
    None, [], {"dl": "x"}, {"dl": ["a" * 5000]}, {"dl": [""]}, {f"c{x}": [] for x in range(101)},
])
def test_rubbish_for_what_is_open_is_refused(service: Running, files: Any) -> None:
    error(call(service, "bo", "PUT", "/open", json={"files": files}), 422, "bad-request")
