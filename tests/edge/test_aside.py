"""Work aside: what hangs, eats memory, prints or dies does it there, and the next one works."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.edge.aside import Aside, TooMuch
from hub.errors import Refusal, Unavailable

# the functions that are called here; the process aside imports this module by its name
HERE = "tests.edge.test_aside"


def upper(text: bytes, more: bytes = b"") -> bytes:
    print("printed by a library")
    os.write(1, b"even so")
    return text.upper() + more


def hang(_: bytes) -> bytes:
    while True:
        pass


def eat(_: bytes) -> bytes:
    return bytes(1 << 40)


def fail(_: bytes) -> bytes:
    raise ValueError("<script>\n" + "x" * 10_000)


def die(_: bytes) -> bytes:
    os._exit(3)


def rest(path: bytes) -> bytes:
    """Until the file is gone."""
    while Path(path.decode()).exists():
        time.sleep(0.01)
    return b"rested"


def environment(_: bytes) -> bytes:
    return repr(sorted(os.environ)).encode()


def who(_: bytes) -> bytes:
    return str(os.getpid()).encode()


@pytest.fixture
def aside() -> Iterator[Aside]:
    made = Aside(seconds=2)
    yield made
    made.close()


def test_bytes_go_there_and_come_back(aside: Aside) -> None:
    large = b"a" * (20 << 20)
    assert aside.call(f"{HERE}:upper", large, b"!") == b"A" * len(large) + b"!"
    assert aside.call(f"{HERE}:upper", b"") == b""


def test_one_process_does_many_pieces(aside: Aside) -> None:
    assert len({aside.call(f"{HERE}:who", b"") for _ in range(5)}) == 1


@pytest.mark.parametrize("function", ["hang", "eat", "fail", "die", "nowhere"])
def test_what_goes_wrong_there_is_a_refusal_and_the_next_one_works(
    aside: Aside, function: str
) -> None:
    with pytest.raises(TooMuch) as raised:
        aside.call(f"{HERE}:{function}", b"x")
    assert raised.value.status == 422
    assert "\n" not in raised.value.detail
    assert len(raised.value.detail) < 1000
    assert "script" not in raised.value.message
    assert aside.call(f"{HERE}:upper", b"x") == b"X"


def test_a_process_that_was_killed_meanwhile_is_made_anew(aside: Aside) -> None:
    pid = int(aside.call(f"{HERE}:who", b""))
    os.kill(pid, 9)
    aside._idle[0]._process.wait()
    assert int(aside.call(f"{HERE}:who", b"")) != pid


def test_it_has_no_secrets(aside: Aside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret")
    monkeypatch.setenv("MADANG_X", "secret")
    told = aside.call(f"{HERE}:environment", b"").decode()
    assert "TOKEN" not in told
    assert "MADANG" not in told


def test_nobody_fills_all_places(tmp_path: Path) -> None:
    aside = Aside()
    gate = tmp_path / "gate"
    gate.touch()
    done: list[bytes] = []

    def work(name: str) -> None:
        done.append(aside.call(f"{HERE}:rest", str(gate).encode(), who=name))

    threads = [threading.Thread(target=work, args=(x,)) for x in ("ana", "ana", "bo", "bo", "cho")]
    for thread in threads:
        thread.start()
    while len(aside._line) < len(threads):
        time.sleep(0.01)
    with pytest.raises(Unavailable, match="few seconds"):
        aside.call(f"{HERE}:upper", b"", who="ana")
    gate.unlink()
    for thread in threads:
        thread.join()
    assert done == [b"rested"] * 5
    assert aside.call(f"{HERE}:upper", b"a", who="ana") == b"A"
    aside.close()


def test_it_ends_with_whoever_asked(aside: Aside) -> None:
    pid = int(aside.call(f"{HERE}:who", b""))
    aside.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(Refusal):
        aside.call(f"{HERE}:upper", b"")
