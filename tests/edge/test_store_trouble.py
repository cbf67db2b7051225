"""Many writers, a killed writer, a full disk, a lost server: real processes, real databases."""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from hub.core.lease import Asked, check
from hub.core.roster import Member, Role
from hub.core.runs import RunStage
from hub.edge import database
from hub.edge.store import Store
from hub.errors import Unavailable
from tests.edge.postgres import Postgres
from tests.edge.store_facts import cards, move, request, run, seen
from tests.edge.store_worker import ask_for

ROOT = Path(__file__).resolve().parents[2]


def worker(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.edge.store_worker", *args], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )


def finish(*workers: subprocess.Popen[str]) -> list[str]:
    said = [x.communicate(timeout=100) for x in workers]
    assert [x.returncode for x in workers] == [0] * len(workers), said
    return [x[0] for x in said]


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """Stores opened meanwhile wait for a writer for 0.3 s, not for 30."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "WAIT", 0.3)
        yield


def test_four_processes_give_sixty_slices_to_sixty(store: Store, url: str) -> None:
    seen(store, *cards(60))
    finish(*(worker("ask", url, f"p{i}", "25") for i in range(4)))
    state = store.read()
    check(state)
    assert len(state.held()) == 60
    assert len(state.waiting()) == 40
    assert state.free() == []


def test_many_threads_of_one_process_write_and_read(store: Store) -> None:
    seen(store, *cards(10))

    def one(i: int) -> None:
        with store.write() as unit:
            ask_for(unit, f"u{i}")
        check(store.read())

    with ThreadPoolExecutor(24) as pool:
        list(pool.map(one, range(48)))
    assert len(store.read().held()) == 10
    assert len(store.leases(limit=100)) == 48


def test_a_reader_sees_one_moment_of_all_tables(store: Store) -> None:
    """Each write adds a lease and puts their number on a slice: both are read, or neither."""
    (only,) = cards(1)
    seen(store, replace(only, used_mib=0))
    over = threading.Event()

    def write() -> None:
        for i in range(60):
            with store.write() as unit:
                ask_for(unit, f"u{i}")
                marked = replace(only, used_mib=i + 1)
                unit.state = replace(unit.state, slices={only.key: marked})
        over.set()

    writer = threading.Thread(target=write)
    writer.start()
    looks = 0
    while not over.is_set():
        state = store.read()
        assert len(state.leases) == state.slices[only.key].used_mib
        looks += 1
    writer.join()
    assert looks > 5


def test_reading_waits_for_no_writer(store: Store) -> None:
    before = move(store, Asked(request("a")))
    with store.write() as unit:
        ask_for(unit, "b")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(store.read).result(timeout=60) == before


def test_a_writer_killed_before_its_commit_leaves_the_old_state(store: Store, url: str) -> None:
    seen(store, *cards(2))
    before = move(store, Asked(request("a")))
    doomed = worker("hang", url)
    assert doomed.stdout is not None
    assert doomed.stdout.readline() == "written\n"
    doomed.kill()
    doomed.communicate()
    assert store.read() == before
    assert set(move(store, Asked(request("b"))).leases) == {"a", "b"}


def test_a_database_that_another_writer_holds_is_busy(url: str) -> None:
    with impatient():
        store, other = Store(url), Store(url)
        store.upgrade()
        with other.write():
            with pytest.raises(Unavailable, match="busy") as caught, store.write():
                pass
            assert caught.value.reason == "busy"
            assert store.read().leases == {}
        assert "a" in move(store, Asked(request("a"))).leases
        store.close()
        other.close()


def test_processes_that_upgrade_at_once_all_succeed(url: str) -> None:
    finish(*(worker("upgrade", url) for _ in range(3)))
    store = Store(url)
    assert store.current()
    store.close()


def test_without_its_schema_it_says_what_to_do(url: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    store = Store(url)
    assert not store.current()
    for use in (store.read, store.members, lambda: store.write().__enter__()):
        with pytest.raises(Unavailable, match="madang database upgrade") as caught:
            use()
        assert caught.value.reason == "database"
    store.close()


# ---- full disks ----------------------------------------------------------------------------------


def fill(store: Store) -> tuple[int, Unavailable]:
    """Write until it is refused; how many leases were written, and the refusal."""
    for done in range(1000):
        # random, so that PostgreSQL cannot press it together
        text = os.urandom(250_000).hex()
        try:
            with store.write() as unit:
                ask_for(unit, f"full-{done}")
                unit.put_run(run(f"{done}", stage=RunStage.LOST, message=text))
        except Unavailable as refusal:
            return done, refusal
    pytest.fail("the disk never was full")


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """24 MB of which 4 are taken; not in pytest's folder, which PostgreSQL's user cannot enter."""
    folder = Path(tempfile.mkdtemp(prefix="madang-disk-", dir="/tmp"))
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "madang-test", str(folder)],
        capture_output=True, text=True, check=False,
    )
    if done.returncode:
        folder.rmdir()
        pytest.skip(f"a disk of its own needs root: {done.stderr}")
    folder.chmod(0o755)
    (folder / "ballast").write_bytes(bytes(4 << 20))
    yield folder
    # lazily: the server that the other tests share may still have a file of it open
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


def check_after_full(store: Store, written: int, refusal: Unavailable) -> None:
    assert "disk with the database is full" in refusal.message
    assert refusal.reason == "disk-full"
    assert written > 5
    assert len(store.leases(limit=1000)) == len(store.read().leases) == written
    assert len(store.runs(user=None, limit=1000)) == written


def test_a_full_disk_under_sqlite_loses_nothing(small_disk: Path) -> None:
    store = Store(f"sqlite:///{small_disk / 'madang.sqlite'}")
    store.upgrade()
    written, refusal = fill(store)
    check_after_full(store, written, refusal)
    (small_disk / "ballast").unlink()
    assert len(move(store, Asked(request("after"))).leases) == written + 1
    store.close()


def test_a_full_disk_under_postgresql_loses_nothing(small_disk: Path, postgres: Postgres) -> None:
    space = small_disk / "space"
    space.mkdir()
    url = postgres.create_on(space)
    store = Store(url)
    store.upgrade()
    written, refusal = fill(store)
    # before the first look: PostgreSQL may have to write old pages to be able to read others
    (small_disk / "ballast").unlink()
    check_after_full(store, written, refusal)
    assert len(move(store, Asked(request("after"))).leases) == written + 1
    store.close()
    postgres.drop_elsewhere()


def test_a_limit_on_the_size_of_files_loses_nothing(tmp_path: Path) -> None:
    """A quota or `ulimit -f`: SQLite gets EFBIG, which it does not call a full disk."""
    url = f"sqlite:///{tmp_path / 'madang.sqlite'}"
    store = Store(url)
    store.upgrade()
    store.close()
    (said,) = finish(worker("fill", url))
    first, last = said.splitlines()
    count, reason, text = first.split(" ", 2)
    assert reason == "disk-full"
    assert "disk with the database is full" in text
    assert int(count) == int(last) > 5


# ---- databases that are not there ----------------------------------------------------------------


def test_a_server_that_goes_away_is_told_and_found_again(postgres: Postgres) -> None:
    url = postgres.create()
    store = Store(url)
    store.upgrade()
    before = move(store, Asked(request("a")))
    postgres.stop()
    for use in (store.read, store.members, lambda: store.set_members(
        [Member("kim", "ai", Role.STUDENT)]
    ), lambda: store.write().__enter__(), store.current):
        with pytest.raises(Unavailable, match="does not answer"):
            use()
    postgres.start()
    assert store.read() == before
    assert store.members() == []
    assert set(move(store, Asked(request("b"))).leases) == {"a", "b"}
    store.close()
    postgres.drop(url)


def test_a_server_that_goes_away_in_the_middle_of_a_write(postgres: Postgres) -> None:
    url = postgres.create()
    store = Store(url)
    store.upgrade()
    before = move(store, Asked(request("a")))
    with pytest.raises(Unavailable, match="does not answer"), store.write() as unit:  # noqa: PT012 - a write is a block
        ask_for(unit, "b")
        postgres.stop()
    postgres.start()
    assert store.read() == before
    store.close()
    postgres.drop(url)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store(f"sqlite:///{tmp_path / 'file' / 'madang.sqlite'}")
    with pytest.raises(Unavailable, match="cannot be made ready"):
        store.upgrade()
    with pytest.raises(Unavailable, match="cannot be opened"):
        store.read()
    store.close()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.sqlite").write_text("not a database, but long enough to look at" * 100)
    store = Store(f"sqlite:///{tmp_path / 'm.sqlite'}")
    for use in (store.upgrade, store.read):
        with pytest.raises(Unavailable, match="damaged") as caught:
            use()
        assert caught.value.reason == "database"
    store.close()


def test_faults_of_ours_are_not_called_an_outage(store: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError), store._database.begin(write=True) as c:
        c.execute(sa.text("INSERT INTO members (name) VALUES ('kim')"))
