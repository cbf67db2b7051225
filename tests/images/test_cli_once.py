"""What the command line submits is made once, also where its answer is lost on the way."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.face.running import NOTEBOOK, PREFIX
from tests.face.running import running as real
from tests.images.service import Service
from tests.images.test_cli import (  # noqa: F401 - fixtures
    madang,
    notebook,
    running,
    service,
    submit,
)


def test_where_the_answer_is_lost_it_is_sent_again_with_the_same_key(
    service: Service, notebook: Path,  # noqa: F811 - fixtures
) -> None:
    service.lost = ["cut", "503", "busy"]
    done = submit(service, notebook, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stage"] == "succeeded"
    assert done.stderr.count("sending it again") == 3
    assert (len(service.keys), len({*service.keys})) == (4, 1)
    assert len(service.keys[0]) >= 32
    submit(service, notebook)
    assert len({*service.keys}) == 2, "another command is another submission"


@pytest.mark.parametrize(("how", "says", "code"), [
    ("full", "is full", 2), ("500", "does not answer", 3),
])
def test_what_will_not_pass_is_not_sent_again(
    service: Service, notebook: Path, how: str, says: str, code: int,  # noqa: F811 - fixtures
) -> None:
    service.lost = [how]
    done = submit(service, notebook)
    assert (done.returncode, says in done.stderr, len(service.keys)) == (code, True, 1)


def test_it_is_not_sent_for_ever(
    service: Service, notebook: Path,  # noqa: F811 - fixtures
) -> None:
    service.lost = ["502"] * 9
    done = submit(service, notebook)
    assert (done.returncode, len(service.keys)) == (3, 5)
    assert "does not answer" in done.stderr.splitlines()[-1]


@contextmanager
def deaf(url: str) -> Iterator[str]:
    """A way to the service on which the answer to the first POST is lost."""
    lost: list[str] = []

    class Way(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            answer = httpx.post(url + self.path, content=sent, headers=dict(self.headers))
            assert answer.status_code == 201, answer.text
            if not lost:
                lost.append(self.path)
                return
            self.send_response(answer.status_code)
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Way) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
    assert lost


def test_the_service_makes_one_run_of_what_it_was_sent_twice(tmp_path: Path) -> None:
    book = tmp_path / "study.ipynb"
    book.write_text(json.dumps(NOTEBOOK))
    with real(tmp_path / "real") as there, deaf(there.url) as way:
        done = madang(
            f"{way}{PREFIX}api", "run", "submit", book, "--profile", "1g.5gb", "--detach",
            "--no-snapshot", "--cwd", "work", "--json", MADANG_TOKEN="t-ana",
        )
        assert done.returncode == 0, done.stderr
        assert "sending it again" in done.stderr
        assert [x.id for x in there.batch.list()] == [json.loads(done.stdout)["id"]]
