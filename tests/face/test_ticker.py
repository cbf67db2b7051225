"""The tick: never twice at once, never ended by a fault. And dying with the parent."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.errors import Unavailable, Unknown
from hub.face.lifeline import listen
from hub.face.ticker import Ticker
from hub.metrics import TICK_FAILURES
from tests.face.running import until


class Part:
    """Something to tick: counts, can be slow, can fail."""

    def __init__(self) -> None:
        self.calls = 0
        self.at_once = 0
        self.overlapped = False
        self.error: Exception | None = None
        self.slow = 0.0
        self.resumed = 0
        self.hub_is_up = True

    def tick(self) -> None:
        self.at_once += 1
        self.overlapped |= self.at_once > 1
        self.calls += 1
        time.sleep(self.slow)
        self.at_once -= 1
        if self.error:
            raise self.error

    def resume(self) -> bool:
        self.resumed += 1
        return self.hub_is_up


@pytest.fixture
def parts() -> tuple[Part, Part, Ticker]:
    broker, batch = Part(), Part()
    return broker, batch, Ticker(broker, batch, 0.02, broker.resume)  # type: ignore[arg-type]


def test_slow_ticks_never_overlap(parts: tuple[Part, Part, Ticker]) -> None:
    broker, batch, ticker = parts
    broker.slow = 0.05
    ticker.start()
    until(lambda: batch.calls > 4, "some ticks")
    ticker.stop()
    calls = broker.calls
    time.sleep(0.2)
    assert broker.calls == calls, "stopped is stopped"
    assert not broker.overlapped
    assert broker.resumed == 1


@pytest.mark.parametrize("error", [
    ValueError("a fault"), Unknown("Docker is away"), Unavailable("disk is full"), SystemError("x"),
])
def test_a_fault_in_one_part_stops_nothing(
    parts: tuple[Part, Part, Ticker], error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    broker, batch, ticker = parts
    counted = TICK_FAILURES.labels("leases")._value.get()
    broker.error = error
    ticker.start()
    until(lambda: batch.calls > 5, "the other goes on")
    assert ticker.late, "a tick that failed is not whole"
    assert TICK_FAILURES.labels("leases")._value.get() >= counted + 5
    said = [r for r in caplog.records if "leases failed" in r.getMessage()]
    assert len(said) == 1, "the same failure is said once, not at every tick"
    assert str(error) in said[0].getMessage()
    broker.error = None
    until(lambda: not ticker.late, "it recovers")
    ticker.stop()


def test_resume_is_asked_until_the_hub_takes_it(parts: tuple[Part, Part, Ticker]) -> None:
    broker, _, ticker = parts
    broker.hub_is_up = False
    ticker.start()
    until(lambda: broker.resumed > 3, "asked again and again")
    broker.hub_is_up = True
    calls = until(lambda: broker.resumed, "taken")
    until(lambda: broker.calls > calls + 5, "ticks go on")
    ticker.stop()
    assert broker.calls > broker.resumed


# ---- woken ------------------------------------------------------------------------------------


@pytest.fixture
def sleeper(parts: tuple[Part, Part, Ticker]) -> Iterator[tuple[Part, Ticker]]:
    """A ticker that would not tick again for an hour, after its first tick."""
    _, batch, _ = parts
    ticker = Ticker(Part(), batch, 3600, batch.resume)  # type: ignore[arg-type]
    ticker.start()
    until(lambda: ticker.age is not None, "the first tick")
    yield batch, ticker
    ticker.stop(timeout=60)
    assert not ticker._thread.is_alive(), "who sleeps is stopped as well"


def test_who_is_woken_ticks_at_once(sleeper: tuple[Part, Ticker]) -> None:
    batch, ticker = sleeper
    for count in range(2, 5):
        ticker.wake()
        until(lambda count=count: batch.calls == count, "a tick")


def test_what_comes_during_a_tick_is_not_lost(sleeper: tuple[Part, Ticker]) -> None:
    batch, ticker = sleeper
    batch.slow = 3  # so long that it is seen
    ticker.wake()
    until(lambda: batch.at_once, "a tick is under way")
    ticker.wake()
    batch.slow = 0.0
    until(lambda: batch.calls == 3, "another one comes")
    calls = batch.calls
    time.sleep(0.5)
    assert batch.calls == calls, "and then none, for an hour"


def test_who_is_woken_all_the_time_rests_most_of_it(sleeper: tuple[Part, Ticker]) -> None:
    batch, ticker = sleeper
    begun = time.monotonic()
    while time.monotonic() < begun + 1.5:
        ticker.wake()
        time.sleep(0.001)
    assert batch.calls <= 4 + (time.monotonic() - begun) / 0.2


# ---- the address and the parent ---------------------------------------------------------------


def test_binding_waits_for_the_old_one_to_let_go() -> None:
    old = listen("127.0.0.1", 0)
    port = old.getsockname()[1]
    threading.Timer(0.5, old.close).start()
    begun = time.monotonic()
    listen("127.0.0.1", port).close()
    assert 0.3 < time.monotonic() - begun < 30


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Unavailable, match=rf"127\.0\.0\.1:{port}.*service_port"):
            listen("127.0.0.1", port, patience=0.3)


@pytest.mark.parametrize("stubborn", [False, True])
def test_an_orphan_ends(*, stubborn: bool) -> None:
    """A parent that is killed takes the child with it, even one that ignores SIGTERM."""
    child = textwrap.dedent(f"""
        import signal, time, sys
        from hub.face import lifeline
        lifeline._LAST_WORDS = 0.5
        if {stubborn}:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        lifeline.end_with_parent(every=0.1)
        print("up", flush=True)
        time.sleep(60)
    """)
    parent = textwrap.dedent(f"""
        import subprocess, sys, time
        made = subprocess.Popen([sys.executable, "-c", {child!r}], stdout=subprocess.PIPE)
        made.stdout.readline()
        print(made.pid, flush=True)
        time.sleep(60)
    """)
    made = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
    assert made.stdout
    pid = int(made.stdout.readline())
    assert alive(pid)
    made.kill()
    made.wait()
    made.stdout.close()
    try:
        until(lambda: not alive(pid), "the orphan ends", timeout=90)
    finally:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
