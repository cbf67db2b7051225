"""A notebook's folder, packed where it is submitted and unpacked where it runs."""

import io
import json
import os
import shutil
import socket
import stat
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from madang import packing
from madang.packing import Packed, Unpackable, check, pack, unpack

from tests.images.bench import Bench, parameters

MIB = 1 << 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "course"
    for name in ("lab.ipynb", "tools.py", "data/나무.csv", "data/deep/x.bin", "run.sh"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (folder / "run.sh").chmod(0o755)
    (folder / "empty").mkdir()
    return folder


def names(packed: Packed) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(packed.data), mode="r:gz") as tar:
        return tar.getnames()


def there_and_back(packed: Packed, tmp_path: Path) -> Path:
    (tmp_path / "input.tar.gz").write_bytes(packed.data)
    check(tmp_path / "input.tar.gz")
    unpack(tmp_path / "input.tar.gz", tmp_path / "files")
    return tmp_path / "files"


# ---- packing ------------------------------------------------------------------------------


def test_a_link_to_a_courses_data_stays_one_and_is_never_published(tmp_path: Path) -> None:
    folder = tmp_path / "dl"
    folder.mkdir()
    (folder / "a.py").write_text("")
    (folder / "data").symlink_to("/srv/courses/dl/3/data")
    (folder / "else").symlink_to("/srv/courses/../../etc")
    packed = packing.pack(folder)
    assert packed.left_out == ("else",)
    (tmp_path / "in.tar.gz").write_bytes(packed.data)
    packing.unpack(tmp_path / "in.tar.gz", tmp_path / "out")
    assert str((tmp_path / "out" / "data").readlink()) == "/srv/courses/dl/3/data"
    assert packing.pack(folder, course=True).left_out == ("data", "else")


def test_a_folder_comes_out_as_it_went_in(folder: Path, tmp_path: Path) -> None:
    (folder / "link.csv").symlink_to(folder / "data/나무.csv")  # absolute, and inside
    (folder / "data/up").symlink_to("../tools.py")
    (folder / "all").symlink_to("data")
    packed = pack(folder, without="lab.ipynb")
    assert (packed.files, packed.left_out) == (7, ())
    out = there_and_back(packed, tmp_path)
    assert not (out / "lab.ipynb").exists()
    assert (out / "data/나무.csv").read_text() == "data/나무.csv"
    assert (out / "link.csv").read_text() == "data/나무.csv"
    assert (out / "data/up").read_text() == "tools.py"
    assert (out / "all/deep/x.bin").read_text() == "data/deep/x.bin"
    assert (out / "empty").is_dir()
    assert stat.S_IMODE((out / "run.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((out / "tools.py").stat().st_mode) == 0o644
    assert not [x for x in tmp_path.iterdir() if x.name.startswith(".")]


def test_the_same_folder_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    first = pack(folder)
    time.sleep(1.1)  # a tar holds whole seconds
    other = tmp_path / "elsewhere"
    for path in sorted((x for x in folder.rglob("*") if x.is_file()), reverse=True):
        to = other / path.relative_to(folder)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
    (other / "empty").mkdir()
    (other / "run.sh").chmod(0o700)
    assert pack(other).data == first.data
    (other / "tools.py").write_text("changed")
    assert pack(other).data != first.data


def test_what_is_left_out_is_said(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (".git/config", ".env", "runs/a/lab.ipynb", "data/checkpoints/a.ckpt",
                 "__pycache__/tools.pyc", "data/.ipynb_checkpoints/x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("no")
    (tmp_path / "secret").write_text("no")
    for name, target in {
        "out": "../secret", "abs": "/etc/passwd", "gone": "nowhere", "loop": "loop", "up": "..",
        "hidden": ".env", "all": ".",
    }.items():
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(folder)  # a socket's path may have 108 bytes
        listening.bind("data.sock")
        packed = pack(folder)
    assert packed.left_out == (
        ".env", ".git/", "abs", "all", "data.sock", "data/.ipynb_checkpoints/",
        "data/checkpoints/", "gone", "hidden", "loop", "out", "pipe", "runs/", "up",
    )
    assert names(packed) == [
        "data", "data/deep", "data/deep/x.bin", "data/나무.csv", "empty", "lab.ipynb", "run.sh",
        "tools.py",
    ]


def test_a_name_of_any_bytes_is_kept(folder: Path, tmp_path: Path) -> None:
    odd = os.fsencode(folder) + b"/\xff\n.txt"
    Path(os.fsdecode(odd)).write_text("odd")
    long = folder / ("d" * 200) / ("f" * 200)
    long.parent.mkdir()
    long.write_text("long")
    out = there_and_back(pack(folder), tmp_path)
    assert Path(os.fsdecode(os.fsencode(out) + b"/\xff\n.txt")).read_text() == "odd"
    assert (out / long.relative_to(folder)).read_text() == "long"


def test_a_folder_that_is_too_large_names_its_largest_files(folder: Path) -> None:
    (folder / "data/model.bin").write_bytes(os.urandom(3 * MIB // 2))
    (folder / "small.bin").write_bytes(os.urandom(1000))
    with pytest.raises(Unpackable) as found:
        pack(folder, 1)
    said = str(found.value)
    assert "is more than 1 MiB, packed; the largest files: data/model.bin (1.5 MiB), " in said
    assert said.endswith("--no-snapshot")
    assert "small.bin (1.0 KiB)" in said
    assert pack(folder, 2).files == 7


def test_a_folder_of_gigabytes_is_refused_without_reading_them(folder: Path) -> None:
    with (folder / "data/huge.bin").open("wb") as f:
        f.truncate(400 << 30)
    with pytest.raises(Unpackable, match=r"512 MiB; the largest files: data/huge.bin \(409600.0"):
        pack(folder)


def test_a_folder_of_too_many_files_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "FILES", 5)
    with pytest.raises(Unpackable, match="more than 5 files"):
        pack(folder)


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unpackable, match="there is no folder"):
        pack(tmp_path / "nowhere")


def test_what_cannot_be_read_is_left_out(folder: Path) -> None:
    (folder / "tools.py").chmod(0)
    (folder / "data").chmod(0)
    assert as_nobody(folder) == b"data/ tools.py"


def as_nobody(folder: Path) -> bytes:
    """What somebody leaves out who is not root, who can read everything."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.chdir(folder)
            if not os.geteuid():
                os.setuid(65534)
            os.write(writing, " ".join(pack(Path()).left_out).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        return stream.read()


# ---- unpacking ----------------------------------------------------------------------------


def tar_of(*members: tuple[str, dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, changes in members:
            info = tarfile.TarInfo(name)
            for key, value in changes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(bytes(info.size)))
    return out.getvalue()


LINK = {"type": tarfile.SYMTYPE}


@pytest.mark.parametrize(("data", "says"), [
    (b"", "damaged or none"),
    (b"no archive", "damaged or none"),
    (tar_of(("a", {"size": 100_000}))[:80], "damaged or none"),
    (tar_of(("/etc/x", {})), "/etc/x would lie outside"),
    (tar_of(("a/../../x", {})), "would lie outside"),
    (tar_of(("a", LINK | {"linkname": "/etc/passwd"})), "the link a leads outside"),
    (tar_of(("d/a", LINK | {"linkname": "../../x"})), "the link d/a leads outside"),
    (tar_of(("a", {"type": tarfile.LNKTYPE, "linkname": "b"})), "neither a file nor a folder"),
    (tar_of(("a", {"type": tarfile.CHRTYPE})), "neither a file nor a folder"),
    (tar_of(("a", {"type": tarfile.FIFOTYPE})), "neither a file nor a folder"),
    (tar_of(("a", {"size": 513 * MIB})), "or 512 MiB"),
], ids=(  # an archive has the time in it, and every worker must collect the same names
    "nothing", "no archive", "cut", "absolute", "upwards", "link", "link upwards", "hard link",
    "device", "pipe", "too large",
))
def test_what_is_no_snapshot_is_refused_before_anything_is_made(
    bench: Bench, data: bytes, says: str
) -> None:
    path = bench.home / "input.tar.gz"
    path.write_bytes(data)
    with pytest.raises(Unpackable, match=says):
        check(path)


def test_an_archive_of_anybodys_tar_is_taken(tmp_path: Path) -> None:
    data = tar_of((".", {"type": tarfile.DIRTYPE}), ("./a/b", {"size": 3, "mode": 0o4777}))
    out = there_and_back(Packed(data, 1, ()), tmp_path)
    assert stat.S_IMODE((out / "a/b").stat().st_mode) == 0o755


# ---- in a run -----------------------------------------------------------------------------


def test_a_run_works_in_its_copy_and_the_folder_stays_as_it_was(
    bench: Bench, folder: Path
) -> None:
    packed = bench.home / "input.tar.gz"
    packed.write_bytes(pack(folder).data)
    (folder / "tools.py").write_text("changed since")
    done = bench.run(
        [parameters("to = 'a'"), "import os, pathlib\nprint(os.getcwd())\n"
         "print(open('tools.py').read())\npathlib.Path(to).write_text('made here')"],
        snapshot=str(packed), cwd="nowhere", parameters={"to": "made"},
    )
    assert done.code == 0, done.log
    files = done.folder / "files"
    assert done.cells[-1].outputs[0].text == f"{files}\ntools.py\n"
    assert (files / "made").read_text() == "made here"
    assert not (folder / "made").exists()
    assert done.record["snapshot"] is True


def test_a_notebook_of_a_course_works_in_its_own_folder_of_the_copy(
    bench: Bench, folder: Path
) -> None:
    (folder / "week1").mkdir()
    (folder / "week1" / "help.txt").write_text("beside me")
    packed = bench.home / "input.tar.gz"
    packed.write_bytes(pack(folder).data)
    done = bench.run(
        ["print(open('help.txt').read(), open('../tools.py').read())"], snapshot=str(packed),
        cwd="week1",
    )
    assert done.code == 0, done.log
    assert done.cells[-1].outputs[0].text == "beside me tools.py\n"


def test_another_attempt_finds_what_the_first_has_made(bench: Bench, folder: Path) -> None:
    packed = bench.home / "input.tar.gz"
    packed.write_bytes(pack(folder).data)
    cell = ("import pathlib, time\nmade = pathlib.Path('made')\nprint('go', made.exists())\n"
            "before = made.exists(); made.touch()\ntime.sleep(0 if before else 600)")
    first = bench.interrupt([cell], "go False", snapshot=str(packed))
    assert first.code == 75
    packed.unlink()
    packed.write_bytes(pack(folder).data)
    second = bench.run([cell], snapshot=str(packed), attempt=2)
    assert (second.code, second.text(0)) == (0, "go True\n"), second.log


def test_a_run_whose_copy_is_damaged_is_refused(bench: Bench) -> None:
    packed = bench.write("input.tar.gz", "nothing")
    done = bench.run(["1"], snapshot=str(packed))
    assert done.code == 2
    assert "The copy of the notebook's folder cannot be used: input.tar.gz is damaged" in done.said
    assert not (bench.home / "runs").exists()


def test_a_disk_that_is_full_when_it_is_unpacked(bench: Bench, folder: Path) -> None:
    (folder / "zeros").write_bytes(bytes(MIB))
    packed = bench.home / "input.tar.gz"
    packed.write_bytes(pack(folder).data)
    limit = ("prlimit", f"--fsize={MIB // 2}")
    done = bench.end(bench.start(["1"], before=limit, snapshot=str(packed)))
    assert done.code == 1
    assert "zeros cannot be written: File too large" in done.said
    assert not (done.folder / "files").exists()
    assert (done.record["stage"], done.record["exit_code"]) == ("failed", 1)
    assert "File too large" in done.record["message"]


def test_an_attempt_that_was_killed_while_it_unpacked_has_left_its_folder_to_the_next(
    bench: Bench, folder: Path
) -> None:
    packed = bench.home / "input.tar.gz"
    os.mkfifo(packed)  # it is looked through once, and then its second reader waits
    look = threading.Thread(target=packed.write_bytes, args=(pack(folder).data,), daemon=True)
    look.start()
    cell = "import os\nprint(os.environ['RESUME'], sorted(os.listdir()))"
    first = bench.start([cell], snapshot=str(packed))
    made = bench.home / "runs/lab"
    until_unpacking(made, packed)
    first.kill()
    first.wait()
    look.join(10)
    record = json.loads((made / "run.json").read_text())
    assert (record["id"], record["attempt"], record["stage"]) == ("r1", 1, "running")
    packed.unlink()
    packed.write_bytes(pack(folder).data)
    done = bench.run([cell], snapshot=str(packed), attempt=2)
    assert done.code == 0, done.log
    assert [x.name for x in (bench.home / "runs").iterdir()] == ["lab"]
    assert done.text(0) == "0 ['data', 'empty', 'lab.ipynb', 'run.sh', 'tools.py']\n"
    assert (done.record["attempt"], done.record["folder"]) == (2, "lab")


def until_unpacking(made: Path, packed: Path) -> None:
    while not (made / ".files.new").exists():
        time.sleep(0.01)
    while True:
        try:
            os.close(os.open(packed, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # nobody reads
            time.sleep(0.01)
        else:
            return
