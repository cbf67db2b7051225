"""Secrets on the disk and in memory: whose they are, and that they are whole or not there."""

import json
import os
import stat
from pathlib import Path

import pytest

from hub.core.secret import Secret
from hub.edge import vault as vault_module
from hub.edge.vault import Vault, in_memory
from hub.errors import BadInput, Unavailable
from tests.edge.docker_fixtures import settings_for

VALUE = b"\0 not text \xff\n"


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    made = tmp_path / "memory"
    made.mkdir()
    return made


@pytest.fixture
def vault(tmp_path: Path, memory: Path) -> Vault:
    return Vault(settings_for(tmp_path, name="vaults"), memory)


def modes(folder: Path) -> dict[str, str]:
    return {str(x.relative_to(folder)): stat.filemode(x.stat().st_mode) for x in folder.rglob("*")}


def test_what_is_kept_is_there_again_and_roots_alone(vault: Vault, tmp_path: Path) -> None:
    vault.put(Secret("B", ("ml", "인공지능"), ("ana",), env=True), VALUE)
    vault.put(Secret("A", users=("bo",)), b"a")
    assert vault.get("B") == (Secret("B", ("ml", "인공지능"), ("ana",), env=True), VALUE)
    assert [x.name for x in vault.list()] == ["A", "B"]
    assert modes(tmp_path / "data") == {
        "run-secrets": "drwx------", "run-secrets/A.json": "-rw-------",
        "run-secrets/B.json": "-rw-------",
    }


def test_what_others_could_read_is_found(vault: Vault, tmp_path: Path) -> None:
    assert not list(vault.exposed())
    vault.put(Secret("A"), b"1")
    assert not list(vault.exposed())
    path = tmp_path / "data/run-secrets/A.json"
    path.chmod(0o640)
    path.parent.chmod(0o755)
    assert list(vault.exposed()) == [path.parent, path]


def test_it_is_replaced_and_removed(vault: Vault) -> None:
    vault.put(Secret("A", ("ml",)), b"one")
    vault.put(Secret("A", ("vision",)), b"two")
    assert vault.get("A") == (Secret("A", ("vision",)), b"two")
    assert (vault.remove("A"), vault.remove("A")) == (True, False)
    assert vault.get("A") is None


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "1A", "a.b", "A\n", "A" * 65, "é", "."])
def test_a_name_never_leaves_its_folder(vault: Vault, name: str) -> None:
    for verb in (vault.get, vault.remove, lambda x: vault.put(Secret(x), b"1")):
        with pytest.raises(BadInput) as e:
            verb(name)
        assert e.value.reason == "secret"


@pytest.mark.parametrize("text", [
    "", "{", "[]", '{"groups": []}',
    '{"groups": [], "users": [], "env": false, "value": "no b64!"}',
    '{"groups": 1, "users": [], "env": false, "value": ""}',
])
def test_a_file_that_is_no_secret_is_none(vault: Vault, tmp_path: Path, text: str) -> None:
    vault.put(Secret("GOOD", ("ml",)), b"1")
    (tmp_path / "data/run-secrets/BAD.json").write_text(text)
    (tmp_path / "data/run-secrets/no name.json").write_text("{}")
    assert vault.get("BAD") is None
    assert [x.name for x in vault.list()] == ["GOOD"]


def test_env_is_only_what_says_so(vault: Vault, tmp_path: Path) -> None:
    vault.put(Secret("A"), b"1")
    path = tmp_path / "data/run-secrets/A.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"env": "false"}))
    found = vault.get("A")
    assert found
    assert not found[0].env


def test_laid_out_only_the_student_reads_them_below_what_only_root_enters(
    vault: Vault, memory: Path
) -> None:
    folder = vault.lay("l1", {"A": VALUE, "B": b"b"})
    assert folder.parent == vault._memory
    assert modes(folder.parent) == {
        "l1": "dr-x------", "l1/A": "-r--------", "l1/B": "-r--------",
    }
    assert {stat.filemode(x.stat().st_mode) for x in folder.parents[:2]} == {"drwx------"}
    assert {x.stat().st_uid for x in (folder, *folder.iterdir())} == {1000}
    assert (folder / "A").read_bytes() == VALUE


def test_what_a_container_has_stays_as_it_is(vault: Vault) -> None:
    folder = vault.lay("l1", {"A": b"first"})
    before = folder.stat().st_ino
    assert vault.lay("l1", {"A": b"second"}) == folder
    assert (folder.stat().st_ino, (folder / "A").read_bytes()) == (before, b"first")


def test_a_start_that_was_killed_is_done_anew(vault: Vault, memory: Path) -> None:
    half = vault._memory / "l1.new"
    vault.lay("other", {})
    half.mkdir()
    (half / "A").write_text("half")
    assert (vault.lay("l1", {"A": b"whole"}) / "A").read_bytes() == b"whole"
    assert not half.exists()


def test_what_is_swept_is_what_nobody_needs(vault: Vault, memory: Path) -> None:
    vault.sweep({"none is there yet"})
    for lease in ("l1", "l2", "l3"):
        vault.lay(lease, {"A": b"1"})
    (vault._memory / "l4.new").mkdir()
    (vault._memory / "l2.new").mkdir()
    vault.sweep({"l2"})
    assert sorted(x.name for x in vault._memory.iterdir()) == ["l2", "l2.new"]
    vault.leave()
    vault.leave()
    assert list((memory / "madang-secrets").iterdir()) == []


def test_two_installations_of_one_name_leave_each_other_alone(
    tmp_path: Path, memory: Path
) -> None:
    one, two = (
        Vault(settings_for(tmp_path, name="same", data=tmp_path / x), memory) for x in "ab"
    )
    folder = one.lay("l1", {"A": b"1"})
    two.sweep(())
    assert (folder / "A").exists()


@pytest.mark.parametrize("spoil", [
    lambda x: os.chown(x, 1000, 1000), lambda x: x.chmod(0o777),
    lambda x: (x.rename(x.with_name("theirs")), x.symlink_to(x.with_name("theirs"))),
])
def test_a_folder_that_somebody_else_has_made_is_not_used(
    vault: Vault, memory: Path, spoil: object
) -> None:
    """Anybody may write into /dev/shm."""
    mine = memory / "madang-secrets"
    mine.mkdir(mode=0o700)
    spoil(mine)  # type: ignore[operator]
    with pytest.raises(Unavailable) as e:
        vault.lay("l1", {"A": b"1"})
    assert "ours alone" in e.value.detail
    assert "madang-secrets" not in e.value.message
    assert not list(memory.rglob("A"))


def test_a_disk_that_is_gone_is_said(tmp_path: Path, memory: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    vault = Vault(settings_for(tmp_path), memory)
    with pytest.raises(Unavailable) as e:
        vault.put(Secret("A"), b"1")
    assert e.value.reason == "secret"
    assert vault.list() == []


def test_they_are_laid_out_in_memory_where_there_is_any() -> None:
    kinds = dict(x.split(" ")[1:3] for x in Path("/proc/self/mounts").read_text().splitlines())
    there = [str(x) for x in vault_module._MEMORY if kinds.get(str(x)) == "tmpfs"]
    assert str(in_memory()) == (there or ["/run"])[0]
