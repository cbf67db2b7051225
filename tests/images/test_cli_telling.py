"""`--secret` and `--notify` on the command line, against the real service."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.core.secret import Secret
from tests.face.running import Running, running
from tests.images.test_cli_nights import asked, book, submit

__all__ = ["book"]  # a fixture
TOPIC, HOOK = "ntfy://night", "https://10.1.2.3:8443/hook?a=b"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("cli")
    with running(folder, snapshot_mib=5, notify_hosts=("10.1.2.3",)) as made:
        for name in ("A", "B"):
            made.batch.mover.secrets.put(Secret(name, ("ml",)), b"value of it")
        made.batch.mover.secrets.put(Secret("OTHERS", ("vision",)), b"value of it")
        yield made
    made.batch.mover.secrets._vault.leave()


def test_a_run_asks_by_name(service: Running, book: Path) -> None:
    made = asked(service, "run", "submit", book, "--profile", "1g.5gb", "-d", "--secret", "A",
                 "--secret", "B", "--notify", TOPIC, "--notify", HOOK)
    assert (made["secrets"], made["notify"]) == (["A", "B"], [TOPIC, HOOK])
    plain = asked(service, "run", "submit", book, "--profile", "1g.5gb", "-d")
    assert (plain["secrets"], plain["notify"]) == ([], [])


def test_a_schedule_keeps_them_until_it_is_replaced(service: Running, book: Path) -> None:
    add = ("schedule", "add", book, "--name", "n", "--cron", "0 2 * * *", "--profile", "1g.5gb")
    made = asked(service, *add, "--secret", "A", "--notify", TOPIC)
    assert (made["secrets"], made["notify"]) == (["A"], [TOPIC])
    again = asked(service, *add, "--replace")
    assert (again["id"], again["secrets"], again["notify"]) == (made["id"], [], [])


@pytest.mark.parametrize(("words", "said"), [
    (("--secret", "OTHERS"), "There is no secret OTHERS that ana may use"),
    (("--secret", "no name"), "is no name of a secret"),
    (("--notify", "http://127.0.0.1/"), "not one of the public internet"),
    (("--notify", "somewhere"), "is no place to send to"),
])
def test_a_refusal_is_one_line(
    service: Running, book: Path, words: tuple[str, ...], said: str
) -> None:
    done = submit(service, book, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
