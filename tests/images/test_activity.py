"""What a real Jupyter server tells Madang's service of its kernels and terminals."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.images.jupyter import QUICK, SLICE, Jupyter, Kernel
from tests.images.leasing import LeaseService
from tests.images.service import TOKEN

COMM = """
from comm import get_comm_manager
def opened(comm, _):
    import time
    comm.on_msg(lambda m: time.sleep(m["content"]["data"]["seconds"]))
get_comm_manager().register_target("slow", opened)
"""


@pytest.fixture(scope="module")
def service() -> Iterator[LeaseService]:
    with LeaseService() as service:
        yield service


@pytest.fixture(scope="module")
def server(service: LeaseService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    environment = {**SLICE, "MADANG_API": service.api, "JUPYTERHUB_API_TOKEN": TOKEN}
    with Jupyter(tmp_path_factory.mktemp("home"), environment, **QUICK) as server:
        yield server


@pytest.fixture(scope="module")
def shared(server: Jupyter) -> Iterator[Kernel]:
    kernel = server.kernel()
    kernel.run(COMM)
    yield kernel
    kernel.shut_down()


@pytest.fixture
def kernel(shared: Kernel, service: LeaseService) -> Kernel:
    """One that does nothing at the beginning of the test, and of which that is known."""
    until(service, busy=False)
    return shared


def until(service: LeaseService, *, busy: bool) -> None:
    """Wait until the server says so, some seconds: a loaded machine is slow to begin and to end."""
    def said() -> bool:
        told = service.heard(0.3)
        return bool(told) and told[-1]["busy"] is busy

    eventually(said, service)


def eventually(what: Callable[[], bool], service: LeaseService, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, service.reports[-5:]
        time.sleep(0.05)


def at(report: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(report["last_activity"])


def rests(service: LeaseService, seconds: float = 1.5, patience: float = 30) -> bool:
    """Whether, within `patience`, all that is told for `seconds` is that nothing happens."""
    until(service, busy=False)
    end = time.monotonic() + patience
    while time.monotonic() < end:
        told = service.heard(seconds)
        if told and len({x["last_activity"] for x in told}) == 1:
            return not any(x["busy"] for x in told)
    return False


def works(service: LeaseService, seconds: float = 1.0) -> bool:
    """Whether work begins, and all that is told in the next `seconds` is that it goes on."""
    until(service, busy=True)
    last = service.reports[-1]
    told = service.heard(seconds)
    return bool(told) and all(x["busy"] for x in told) and at(told[-1]) > at(last)


# ---- kernels --------------------------------------------------------------------------------


def test_an_open_socket_and_a_new_one_are_no_activity(
    kernel: Kernel, service: LeaseService
) -> None:
    before = at(service.reports[-1])
    kernel.leave()
    kernel.come()
    assert rests(service)
    assert at(service.reports[-1]) == before


def test_a_cell_is_activity(kernel: Kernel, service: LeaseService) -> None:
    began = datetime.now(UTC)
    kernel.run("1 + 1")
    assert rests(service)
    assert began <= at(service.reports[-1]) <= datetime.now(UTC)


def test_a_silent_cell_is_work_after_the_browser_has_gone(
    kernel: Kernel, service: LeaseService
) -> None:
    kernel.begin("import time; time.sleep(12)")
    assert works(service)
    kernel.leave()
    assert works(service, 3)
    kernel.come()
    assert service.reports[-1]["kernels"] == 1
    until(service, busy=False)


def test_work_is_told_at_once(tmp_path: Path) -> None:
    with LeaseService() as own:
        environment = {**SLICE, "MADANG_API": own.api, "JUPYTERHUB_API_TOKEN": TOKEN}
        with Jupyter(tmp_path, environment, **(QUICK | {"interval": 60.0})) as server:
            kernel = server.kernel()
            assert [x["busy"] for x in own.reports] == [False]
            kernel.run("1 + 1")
            kernel.begin("import time; time.sleep(30)")
            # the next regular report is a minute away; `until` would miss one that came before it
            end = time.monotonic() + 30
            while not own.reports[-1]["busy"] and time.monotonic() < end:
                time.sleep(0.1)
            assert own.reports[-1]["busy"], own.reports
            assert len(own.reports) <= 3
            kernel.leave()


def test_what_an_open_tab_says_by_itself_is_no_activity(
    kernel: Kernel, service: LeaseService
) -> None:
    before = at(service.reports[-1])
    widget = {"comm_id": "w", "target_name": "slow", "data": {}}
    kernel.send("comm_open", widget)
    for _ in range(4):
        kernel.send("comm_msg", {"comm_id": "w", "data": {"seconds": 0}})
        kernel.send("comm_info_request", {})
        kernel.send("kernel_info_request", {})
        kernel.send("complete_request", {"code": "im", "cursor_pos": 2})
        kernel.send("usage_request", {}, "control")
        time.sleep(0.2)
    assert rests(service)
    assert at(service.reports[-1]) == before


def test_a_button_that_starts_a_training_is_work(kernel: Kernel, service: LeaseService) -> None:
    kernel.send("comm_open", {"comm_id": "b", "target_name": "slow", "data": {}})
    begun = datetime.now(UTC)
    kernel.send("comm_msg", {"comm_id": "b", "data": {"seconds": 8}})
    assert works(service)
    until(service, busy=False)
    assert at(service.reports[-1]) > begun + timedelta(seconds=6)


def test_a_widget_beside_a_running_cell_does_not_hide_it(
    kernel: Kernel, service: LeaseService
) -> None:
    """Lab's comms have a subshell: jupyter_server takes their "idle" for the kernel's."""
    made = kernel.send("create_subshell_request", {}, "control")
    subshell = kernel.end(made, "create_subshell_reply")["subshell_id"]
    kernel.begin("import time; time.sleep(12)")
    until(service, busy=True)
    kernel.send("comm_open", {"comm_id": "s", "target_name": "slow", "data": {}},
                subshell_id=subshell)
    time.sleep(0.5)
    assert kernel.state() == "idle", "mended upstream: say so in heard.py"
    assert works(service)
    until(service, busy=False)


def test_a_thread_that_a_cell_left_behind_is_activity_when_it_prints(
    kernel: Kernel, service: LeaseService
) -> None:
    kernel.run("import threading; threading.Timer(6, print, ['late']).start()")
    ended = datetime.now(UTC)
    eventually(lambda: at(service.reports[-1]) > ended + timedelta(seconds=1), service)


def test_a_kernel_that_is_restarted_or_shut_down_at_work_rests(
    server: Jupyter, service: LeaseService
) -> None:
    kernel = server.kernel()
    kernel.begin("import time; time.sleep(60)")
    assert works(service)
    kernel.leave()
    kernel.restart()
    assert rests(service)
    kernel.come()
    begun = datetime.now(UTC)
    kernel.begin("import time; time.sleep(60)")
    assert works(service)
    kernel.shut_down()
    assert rests(service)
    assert at(service.reports[-1]) > begun + timedelta(seconds=0.5)


def test_a_kernel_that_dies_at_work_rests(server: Jupyter, service: LeaseService) -> None:
    kernel = server.kernel()
    kernel.begin("import os, time; time.sleep(5); os.kill(os.getpid(), 9)")
    until(service, busy=True)
    assert rests(service)
    kernel.shut_down()


# ---- terminals ------------------------------------------------------------------------------


def test_a_terminal_is_activity_when_it_prints_and_not_when_it_is_open(
    server: Jupyter, service: LeaseService
) -> None:
    name = server.http.post("api/terminals").json()["name"]
    opened = server.socket(f"terminals/websocket/{name}")
    opened.send(json.dumps(["set_size", 24, 80]))
    time.sleep(1)
    assert rests(service)
    assert service.reports[-1]["terminals"] == 1
    before = at(service.reports[-1])
    opened.close()
    opened = server.socket(f"terminals/websocket/{name}")  # it gets the old output again
    opened.send(json.dumps(["set_size", 24, 80]))
    assert rests(service)
    assert at(service.reports[-1]) == before
    opened.send(json.dumps(["stdin", "sleep 10; echo done\r"]))
    eventually(lambda: at(service.reports[-1]) > before, service)
    opened.close()
    assert rests(service, 1.5, patience=5), "a program that prints nothing"
    typed = at(service.reports[-1])
    eventually(lambda: at(service.reports[-1]) > typed, service)
    assert rests(service)
    server.http.delete(f"api/terminals/{name}").raise_for_status()


# ---- the service is away ---------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["away", "forgets"])
def test_trouble_with_the_service_is_said_once_and_ends_by_itself(
    kernel: Kernel, server: Jupyter, service: LeaseService, trouble: str
) -> None:
    begin, begun = len(server.log.read_text()), datetime.now(UTC)

    def logged(words: str) -> bool:
        return words in server.log.read_text()[begin:]

    setattr(service, trouble, True)
    kernel.run("2 + 2")
    eventually(lambda: logged("does not hear of our activity"), service)
    time.sleep(1)  # and once only
    setattr(service, trouble, False)
    eventually(lambda: logged("hears of our activity again"), service)
    eventually(lambda: at(service.reports[-1]) > begun, service)
    log = server.log.read_text()[begin:]
    assert log.count("does not hear of our activity") == 1, log
    assert log.count("hears of our activity again") == 1, log
    assert "not all activity is seen" not in log, log


def test_a_service_that_starts_later_is_found(tmp_path: Path) -> None:
    service = LeaseService()  # its port is taken, and nobody listens
    environment = {**SLICE, "MADANG_API": service.api, "JUPYTERHUB_API_TOKEN": TOKEN}
    with Jupyter(tmp_path, environment, **QUICK) as server:
        kernel = server.kernel()
        kernel.run("1 + 1")
        with service:
            assert rests(service)
            assert service.reports[-1]["kernels"] == 1
        kernel.shut_down()
        log = server.log.read_text()
    assert log.count("does not hear of our activity: [Errno 111]") == 2, log


# ---- without a slice ------------------------------------------------------------------------


def test_without_a_slice_the_hub_is_told_of_a_kernel_that_computes_in_silence(
    tmp_path: Path
) -> None:
    """It would stop an idle one (`cpu_idle`), and asks Jupyter, which counts what a kernel says."""
    with Jupyter(tmp_path, {"MADANG_LEASE": "", "MADANG_SLICE": ""}, **QUICK) as server:
        def told() -> str:
            return str(server.http.get("api/status").json()["last_activity"])

        kernel = server.kernel()
        kernel.run("import time")
        begun, seen = time.monotonic(), {told()}
        kernel.begin("time.sleep(10)")
        kernel.leave()
        # its beginning and its end are two
        while len(seen) < 5:
            assert time.monotonic() - begun < 9, seen
            time.sleep(0.2)
            seen.add(told())
        time.sleep(max(0, begun + 12 - time.monotonic()))
        last = told()
        time.sleep(3)
        assert told() == last


def test_without_a_lease_the_hub_hears_of_a_silent_cell_and_the_service_of_nothing(
    tmp_path: Path,
) -> None:
    """jupyter_server alone would say that nothing happened since the cell began."""
    with LeaseService() as own:
        cpu = {"MADANG_SLICE": "", "MADANG_API": own.api, "JUPYTERHUB_API_TOKEN": TOKEN}
        with Jupyter(tmp_path, cpu, **QUICK) as server:
            kernel = server.kernel()
            kernel.run("1 + 1")
            kernel.begin("import time; time.sleep(60)")
            time.sleep(8)
            status = server.http.get("api/status?no_track_activity=1").json()
            silent = datetime.now(UTC) - datetime.fromisoformat(status["last_activity"])
            kernel.leave()
        assert own.asked == []
    assert silent < timedelta(seconds=6)
