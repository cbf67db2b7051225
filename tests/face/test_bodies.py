"""What is sent to the service: who sends it is known before it is read, and it has limits."""

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import TypeAdapter

from hub.face import bodies
from tests.face.running import NOTEBOOK, PREFIX, Running, error, running

BODY: dict[str, Any] = {"notebook_name": "n.ipynb", "notebook": NOTEBOOK, "profile": "1g.5gb"}
MANY = 1_000_001


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("bodies"), notebook_mib=8) as made:
        yield made


def _writes(service: Running) -> list[tuple[str, str]]:
    """(verb, path) of every route that something may be sent to."""
    with service.client() as http:
        paths = http.get("openapi.json").json()["paths"]
    return [
        (verb.upper(), path.replace("{id}", "x").replace("{name}", "x"))
        for path, verbs in paths.items() for verb in verbs if verb != "get"
    ]


def _first_bytes(service: Running, verb: str, path: str, *headers: str) -> bytes:
    """What is answered to somebody who announces a large body, and sends none of it."""
    at = urlsplit(service.url)
    head = [f"{verb} {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    with socket.create_connection((at.hostname, at.port), timeout=60) as plug:
        plug.sendall("\r\n".join([*head, "", ""]).encode())
        return plug.recv(65536)


@pytest.mark.parametrize("length", ["Content-Length: 8000000", "Transfer-Encoding: chunked"])
def test_who_asks_is_known_before_anything_is_read(service: Running, length: str) -> None:
    writes = _writes(service)
    assert ("POST", f"{PREFIX}api/runs") in writes
    for verb, path in writes:
        said = _first_bytes(service, verb, path, length)
        assert said.startswith(b"HTTP/1.1 401"), (verb, path)
    said = _first_bytes(
        service, "PUT", f"{PREFIX}api/roster", length, "Authorization: Bearer t-stranger")
    assert said.startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize("many", [
    "[" + "[]," * MANY + "1]", "[" + "1," * MANY + "1]", "[" + '"",' * MANY + "1]",
    "{" + '"a":1,' * MANY + '"b":2}', "[" + '"\\\\\\"",' * MANY + "1]", "[" + "{}," * MANY + "1",
], ids=["lists", "numbers", "texts", "keys", "escapes", "no end"])
def test_more_values_than_can_be_parsed_beside_others_are_refused(
    service: Running, many: str
) -> None:
    body = json.dumps(BODY | {"parameters": {"epochs": 0}}).replace('"epochs": 0', f'"x": {many}')
    for path in ("runs", "sweeps", "schedules"):
        with service.client("t-ana", **{"Content-Type": "application/json"}) as http:
            said = error(http.post(f"api/{path}", content=body), 413, "too-large")
    assert "1000000 values" in said


def test_a_large_notebook_is_taken_whatever_stands_in_its_texts(service: Running) -> None:
    text = 'a, [b], {"c"} \\ \\" 한' * 150_000
    cell = {"cell_type": "markdown", "id": "t", "metadata": {}, "source": text}
    book = NOTEBOOK | {"cells": [*NOTEBOOK["cells"], cell]}
    answer = service.submit(notebook=book)
    assert answer.status_code == 201, answer.text
    assert json.loads(service.batch.files.input(answer.json()["id"])) == book
    error(service.submit(notebook=book, surprise=1), 422, "bad-request")


def test_a_large_body_is_parsed_beside_the_event_loop(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, beside = bodies._made, []

    def seen(form: TypeAdapter[Any], raw: bytes) -> object:
        beside.append(asyncio._get_running_loop() is None)
        return made(form, raw)

    monkeypatch.setattr(bodies, "_made", seen)
    answer = service.submit(parameters={"epochs": [0.5] * 100_000})
    error(answer, 400, "parameters-too-large")
    assert beside == [True]


def test_what_comes_as_something_else_than_json_is_not_taken_for_it(service: Running) -> None:
    with service.client("t-ana") as http:
        for kind in ("text/plain", "application/x-www-form-urlencoded"):
            answer = http.post("api/runs", content=json.dumps(BODY), headers={"Content-Type": kind})
            error(answer, 422, "bad-request")


def test_the_form_of_what_is_sent_is_in_the_schema(service: Running) -> None:
    with service.client() as http:
        spec = http.get("openapi.json").json()
    for path, verb, form in (
        ("runs", "post", "SubmitIn"), ("sweeps", "post", "SweepIn"),
        ("schedules", "post", "ScheduleIn"), ("schedules/{id}", "patch", "ScheduleChangeIn"),
    ):
        body = spec["paths"][f"{PREFIX}api/{path}"][verb]["requestBody"]
        assert body["content"]["application/json"]["schema"]["$ref"].endswith(f"/{form}")
        assert form in spec["components"]["schemas"]
