"""People are told that their run has ended: once, in the end, and no run waits for it."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub import metrics
from hub.core.notification import WAITS
from hub.core.runs import Run, RunStage, Submission
from hub.errors import BadInput
from hub.notifying import Notifier
from tests.edge.answering import Mail, Web, mail_server, web
from tests.face.running import NOTEBOOK, until
from tests.floor.floors import Floor, floor_at
from tests.floor.telling import Clock, ended, look, notifier, telling_floor


@pytest.fixture
def there() -> Iterator[Web]:
    with web() as made:
        yield made


@pytest.fixture
def post() -> Iterator[Mail]:
    with mail_server() as made:
        yield made


@pytest.fixture
def floor(tmp_path: Path, there: Web, post: Mail) -> Iterator[Floor]:
    with telling_floor(
        tmp_path, there, smtp_host="127.0.0.1", smtp_port=post.port, smtp_tls="none",
        smtp_from="m@example.org", notify_mail_domains=("example.org",),
    ) as made:
        yield made


def counted(kind: str, outcome: str) -> float:
    return metrics.NOTIFICATIONS.labels(kind, outcome)._value.get()


def test_all_three_kinds_are_told(floor: Floor, there: Web, post: Mail) -> None:
    made = notifier(floor)
    run = ended(floor, 1, notify=(f"{there.url}/hook", "ntfy://night", "mailto:ana@example.org"))
    for _ in range(3):  # one of each person at a time
        look(made)
    hook, ntfy = there.asked
    assert (hook.path, hook.headers["idempotency-key"]) == ("/hook", f"{run.id}-0")
    assert hook.json["run"]["stage"] == "failed"
    assert hook.json["link"] == f"https://m.example/services/madang/runs/{run.id}"
    assert ntfy.path == "/ntfy/"
    assert ntfy.json["topic"] == "night"
    assert ntfy.json["title"] == "n.ipynb has ended: failed"
    assert f"services/madang/runs/{run.id}" in ntfy.json["click"]
    ((_, to, text),) = post.mails
    assert to[0].startswith("<ana@example.org>")
    assert f"Message-ID: <{run.id}-2.madang@example.org>" in text


def test_a_run_that_names_nobody_is_nobodys_business(floor: Floor, there: Web) -> None:
    made = notifier(floor)
    ended(floor)
    look(made)
    assert there.asked == []
    assert not list(floor.broker.settings.data.glob("notifications/**/*.json"))


def test_a_run_ends_whatever_becomes_of_its_notifications(floor: Floor, there: Web) -> None:
    def broken(run: Run) -> tuple[str, str, str]:
        raise RuntimeError(run.id)

    made = Notifier(floor.batch, broken)  # type: ignore[arg-type]
    floor.batch.mover.tell = made.ended
    run = ended(floor, notify=(there.url,))
    assert run.stage is RunStage.SUCCEEDED
    with pytest.raises(RuntimeError):
        made.look()
    assert there.asked == []


def test_what_fails_is_tried_again_with_the_same_id_and_dropped_in_the_end(
    floor: Floor, there: Web
) -> None:
    there.answer, clock = 503, Clock()
    made = notifier(floor, clock)
    before = counted("webhook", "retried"), counted("webhook", "dropped")
    ended(floor, notify=(there.url,))
    look(made)
    look(made)
    assert len(there.asked) == 1, "not again at once"
    for wait in WAITS:
        clock.at += wait
        look(made)
    assert len(there.asked) == len(WAITS) + 1
    assert len({x.headers["idempotency-key"] for x in there.asked}) == 1
    clock.at += timedelta(days=1)
    look(made)
    assert len(there.asked) == len(WAITS) + 1
    assert counted("webhook", "retried") - before[0] == len(WAITS)
    assert counted("webhook", "dropped") - before[1] == 1


@pytest.mark.parametrize("status", [302, 400, 404, 410])
def test_what_will_never_be_taken_is_dropped_at_once(
    floor: Floor, there: Web, status: int
) -> None:
    there.answer, clock = status, Clock()
    made = notifier(floor, clock)
    ended(floor, notify=(there.url,))
    for _ in range(3):
        look(made)
        clock.at += timedelta(days=1)
    assert len(there.asked) == 1


def test_a_sweep_is_told_once_when_its_last_run_has_ended(floor: Floor, there: Web) -> None:
    made = notifier(floor)
    wanted = {"notebook": NOTEBOOK, "parameters": {}, "profile": "1g.5gb", "name": "n.ipynb",
              "sweep": {"epochs": [1, 2, 3]}, "notify": (there.url,)}
    sweep = floor.batch.sweep(Submission(user="ana", **wanted))
    for number in range(3):
        assert there.asked == []
        until(lambda: floor.tick() or floor.engine.found, "one runs")
        lease = next(iter(floor.engine.found))
        floor.engine.exit(lease, 1 if number else 0)
        until(lambda x=lease: floor.tick() or x not in floor.engine.found, "it has ended")
        for other in list(floor.engine.found):
            if floor.engine.found[other].running and number == 2:
                floor.engine.exit(other, 1)
        look(made)
    floor.tick()
    look(made)
    (asked,) = there.asked
    assert asked.json["event"] == "sweep.ended"
    assert asked.json["id"] == f"{sweep.id}-0"
    assert asked.json["sweep"]["counts"] == {"succeeded": 1, "failed": 2}
    look(notifier(floor))
    assert len(there.asked) == 1


def test_a_cancelled_sweep_is_told_once(floor: Floor, there: Web) -> None:
    made = notifier(floor)
    sweep = floor.batch.sweep(Submission(
        "ana", "n.ipynb", NOTEBOOK, {}, "3g.20gb", sweep={"epochs": [1, 2, 3, 4]},
        notify=(there.url,),
    ))
    floor.batch.cancel_sweep(sweep.id, "ana")
    look(made)
    (asked,) = there.asked
    assert asked.json["sweep"]["counts"] == {"cancelled": 4}


def test_one_persons_dead_places_do_not_hold_up_the_others(floor: Floor, there: Web) -> None:
    release = threading.Event()

    def hang(handler: Any) -> None:
        if handler.path == "/slow":
            release.wait(20)
        handler.send_response(204)
        handler.end_headers()

    there.answer = hang
    made = notifier(floor)
    ended(floor, user="ana", notify=(f"{there.url}/slow",))
    made.look()
    ended(floor, user="bo", profile="1g.5gb", notify=(f"{there.url}/quick",))
    made.look()
    until(lambda: [x for x in there.asked if x.path == "/quick"], "bo is told meanwhile")
    assert not made.idle
    release.set()
    until(lambda: made.idle, "ana is told too")


def test_places_are_looked_at_when_a_run_is_submitted(floor: Floor) -> None:
    for place in ("nowhere", "http://127.0.0.2/", "http://localhost/x", "mailto:a@elsewhere.net",
                  "https://me:word@h.example/", "http://169.254.169.254/latest/meta-data/"):
        with pytest.raises(BadInput) as e:
            floor.submit(notify=(place,))
        assert e.value.reason == "notify"
    assert floor.batch.list() == []


def test_what_the_operator_has_forbidden_since_is_not_sent(
    floor: Floor, there: Web, tmp_path: Path
) -> None:
    run = ended(floor, notify=(there.url,))
    with floor_at(tmp_path, runs_open=50) as stricter:
        made = notifier(stricter)
        look(made)
        assert stricter.batch.get(run.id).notify == (there.url,)
    assert there.asked == []
