import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.edge.engine import Engine, engine
from hub.errors import Unavailable
from tests.edge.docker_fixtures import IMAGE, SLEEP, Yard, answers, sabotaged, settings_for

pytestmark = pytest.mark.docker

IGNORE = (
    "import signal, time\n"
    "signal.signal(15, signal.SIG_IGN)\n"
    "print('up', flush=True)\ntime.sleep(120)"
)
SAVE = (
    "import signal, sys, time\n"
    "signal.signal(15, lambda *a: sys.exit(75))\n"
    "print('up', flush=True)\ntime.sleep(120)"
)


def wait_up(yard: Yard, lease: str) -> None:
    end = time.monotonic() + 30
    while b"up" not in yard.engine.logs(lease):
        assert time.monotonic() < end, yard.story()
        time.sleep(0.1)


# ---- runs -----------------------------------------------------------------------------------


def test_a_run_finds_its_files_and_ends_truthfully(yard: Yard):
    code = (
        "import os, sys\n"
        "s = os.stat('/run/madang/job.json'); d = os.stat('/run/madang')\n"
        "print(open('/run/madang/job.json').read(), os.getuid())\n"
        "print(s.st_uid, s.st_gid, oct(s.st_mode), d.st_uid, oct(d.st_mode))\n"
        "print('bad', file=sys.stderr); sys.exit(3)"
    )
    before = datetime.now(UTC)
    lease = yard.start(code, files={"/run/madang/job.json": b'{"a": 1}', "/run/madang/x": b""})
    assert yard.wait() == [3]
    said = yard.engine.logs(lease).decode().splitlines()
    # Docker takes up the two streams side by side: their lines may stand in any order
    assert sorted(said) == ["1000 1000 0o100600 1000 0o40700", "bad", '{"a": 1} 1000']
    (found,) = yard.engine.containers()
    assert (found.lease, found.kind, found.user, found.image) == (lease, "run", "Ünal/..", IMAGE)
    assert (found.running, found.exit_code, found.oom) == (False, 3, False)
    assert found.name == f"{yard.settings.name}-run-{lease}"
    assert found.slice == "node/GPU-1/1g.5gb@0"
    assert before < found.started_at < found.finished_at < datetime.now(UTC)


def test_one_lease_never_has_two_containers(yard: Yard):
    spec = yard.spec(SLEEP)
    with ThreadPoolExecutor(4) as pool:
        ids = {x.result() for x in [pool.submit(yard.engine.start_run, spec) for _ in range(4)]}
    assert list(ids) == yard.ids()
    (found,) = yard.engine.containers()
    assert found.running
    assert found.exit_code is None


def test_a_start_that_was_cut_short_is_finished_by_asking_again(yard: Yard):
    job = "/run/madang/job.json"
    spec = yard.spec(f"print(open('{job}').read())", files={job: b"whole"})
    fell = answers("/start", 500, "the daemon fell over")
    with sabotaged(yard, fell) as (bad, _), pytest.raises(Unavailable, match="fell over"):
        bad.start_run(spec)
    assert yard.ids() == []  # what could not start is not left behind
    yard.engine._create(spec)  # as a service killed between create and start leaves it
    (found,) = yard.engine.containers()
    assert (found.running, found.exit_code) == (False, None)
    yard.engine.start_run(spec)
    assert yard.wait() == [0]
    assert b"whole" in yard.engine.logs(spec.labels["madang.lease"])


def test_files_go_nowhere_else(yard: Yard):
    for path in ("/etc/passwd", "/run/madang/../x", "/run/madang/a/b", "run/madang/x"):
        with pytest.raises(ValueError, match="is not in"):
            yard.start(SLEEP, files={path: b""})
    assert yard.ids() == []


def test_an_image_that_is_not_here(yard: Yard):
    with pytest.raises(Unavailable) as e:
        yard.start(SLEEP, image="madang/nowhere:1")
    assert e.value.reason == "image-missing"
    assert "madang/nowhere" in e.value.message
    assert yard.engine.images() == {IMAGE: yard.docker.inspect_image(IMAGE)["Id"]}


def test_a_name_that_another_container_has_is_not_taken_for_ours(yard: Yard):
    yard.start(SLEEP, lease="one", name=f"{yard.settings.name}-same")
    with pytest.raises(Unavailable, match="already in use"):
        yard.start(SLEEP, lease="two", name=f"{yard.settings.name}-same")


# ---- stopping -------------------------------------------------------------------------------


def test_stop_lets_a_run_save(yard: Yard):
    lease = yard.start(SAVE)
    wait_up(yard, lease)
    yard.engine.stop(lease, 20)
    (found,) = yard.engine.containers()
    assert (found.running, found.exit_code, found.oom) == (False, 75, False)


def test_stop_kills_what_does_not_listen(yard: Yard):
    lease = yard.start(IGNORE)
    wait_up(yard, lease)
    began = time.monotonic()
    yard.engine.stop(lease, 1)
    assert time.monotonic() - began >= 1
    (found,) = yard.engine.containers()
    assert (found.running, found.exit_code, found.oom) == (False, 137, False)


def test_a_stop_that_docker_refuses_becomes_a_kill(yard: Yard):
    lease = yard.start(SAVE)
    wait_up(yard, lease)
    with sabotaged(yard, answers("/stop", 500)) as (bad, _):
        bad.stop(lease, 1)
    assert yard.engine.containers()[0].exit_code == 137


def test_a_stop_that_does_nothing_is_not_believed(yard: Yard, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine, "_KILL_WAIT", 0.5)
    lease = yard.start(SLEEP)

    def deaf(_: str, path: str) -> tuple[int, bytes] | None:
        return (204, b"") if "/stop" in path or "/kill" in path else None

    with sabotaged(yard, deaf) as (bad, _), pytest.raises(Unavailable, match="does not stop"):
        bad.stop(lease, 1)
    assert yard.engine.containers()[0].running


def test_what_is_gone_is_fine_and_nothing_else_is(yard: Yard):
    yard.engine.stop("nobody", 1)
    yard.engine.remove("nobody")
    assert yard.engine.logs("nobody") == b""
    for verb in (lambda x: yard.engine.stop(x, 1), yard.engine.remove, yard.engine.logs):
        with pytest.raises(ValueError, match="empty lease"):
            verb("")
    lease = yard.start(SLEEP)
    for status in (404, 409):
        with sabotaged(yard, answers("", status, method="DELETE")) as (racing, saboteur):
            racing.remove(lease)
            assert any(m == "DELETE" for m, _ in saboteur.seen)
    failing = answers("", 500, method="DELETE")
    with sabotaged(yard, failing) as (bad, _), pytest.raises(Unavailable):
        bad.remove(lease)
    yard.engine.remove(lease)
    assert yard.engine.containers() == ()


def test_remove_touches_no_other_lease_and_no_other_installation(yard: Yard, tmp_path: Path):
    one, two = yard.start(SLEEP), yard.start(SLEEP)
    Engine(settings_for(tmp_path)).remove(one)
    assert len(yard.ids()) == 2
    yard.engine.remove(one)
    assert [x.lease for x in yard.engine.containers()] == [two]


# ---- limits ---------------------------------------------------------------------------------


def test_out_of_memory_is_told(yard: Yard):
    small = {"mem_limit": "48m", "memswap_limit": "48m"}
    yard.start("x = b'x' * (400 * 2**20)", host_config=small)
    yard.wait()
    (found,) = yard.engine.containers()
    assert (found.exit_code, found.oom) == (137, True)


def test_the_container_is_hardened(yard: Yard):
    said = yard.run(
        "import os, shutil, subprocess\n"
        "s = dict(x.split(':', 1) for x in open('/proc/self/status').read().splitlines())\n"
        "for k in ('CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs', 'Seccomp'): print(k, s[k].strip())\n"
        "print('oom', open('/proc/self/oom_score_adj').read())\n"
        "print('shm', shutil.disk_usage('/dev/shm').total // 2**20)\n"
        "print('uid', os.getuid())\n"
        "su = subprocess.run(['su', '-c', 'true'], capture_output=True, input=b'')\n"
        "print('su', su.returncode)"
    )
    zero = "0" * 16
    for line in (f"CapEff {zero}", f"CapPrm {zero}", f"CapBnd {zero}", "NoNewPrivs 1", "Seccomp 2",
                 "oom 500", "shm 1024", "uid 1000"):
        assert line in said
    assert "su 0" not in said


def test_limits_reach_docker(yard: Yard):
    yard.start(SLEEP)
    host = yard.docker.inspect_container(yard.ids()[0])["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 512 * 2**20
    assert host["CpuQuota"] / host["CpuPeriod"] == yard.settings.cpu_limit
    assert host["PidsLimit"] == yard.settings.pids_limit
    rotated = {"max-size": "10m", "max-file": "3"}
    assert host["LogConfig"] == {"Type": "json-file", "Config": rotated}
    assert (host["AutoRemove"], host["Privileged"], host["Init"]) == (False, False, False)


# ---- logs -----------------------------------------------------------------------------------


def test_logs_can_be_cut(yard: Yard):
    lease = yard.start("import time\nfor i in range(5): print(i, flush=True); time.sleep(0.3)")
    yard.wait()
    assert yard.engine.logs(lease) == b"0\n1\n2\n3\n4\n"
    assert yard.engine.logs(lease, tail=2) == b"3\n4\n"
    (found,) = yard.engine.containers()
    later = yard.engine.logs(lease, since=found.finished_at - timedelta(seconds=0.7))
    assert later.endswith(b"4\n")
    assert not later.startswith(b"0")


def test_a_log_is_bounded_and_rotated(yard: Yard):
    line = "x" * 1000
    lease = yard.start(f"for i in range(9000): print(i, '{line}')")
    yard.wait()
    said = yard.engine.logs(lease)
    assert len(said) == 4 * 2**20
    assert said.endswith(f"8999 {line}\n".encode())


def test_many_threads_use_many_clients(yard: Yard):
    yard.start(SLEEP)
    seen = []

    def look() -> None:
        seen.append(id(yard.engine._docker.api))
        for _ in range(5):
            assert len(yard.engine.containers()) == 1
        gate.wait(30)

    gate = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        for x in [pool.submit(look) for _ in range(8)]:
            x.result()
    assert len(set(seen)) == 8


def test_a_look_is_one_call_and_one_per_ended(yard: Yard):
    for _ in range(3):
        yard.start(SLEEP)
    with sabotaged(yard, lambda *_: None) as (seen, saboteur):
        assert len(seen.containers()) == 3
        paths = [p for _, p in saboteur.seen if not p.endswith("/version")]
        assert len(paths) == 1
