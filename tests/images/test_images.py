"""The builder of the images, and on a real engine the image it built."""

import hashlib
import importlib.machinery
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

IMAGES = Path(__file__).resolve().parents[2] / "images"
CAGE = ("--rm", "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def load(name: str):
    """A script of images/ as a module; they import each other by bare names."""
    sys.path.insert(0, str(IMAGES))
    try:
        loader = importlib.machinery.SourceFileLoader(f"images_{name}", str(IMAGES / name))
        spec = importlib.util.spec_from_loader(loader.name, loader)
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    finally:
        sys.path.remove(str(IMAGES))
    return module


build = load("build")
plan, docker_client, progress = (sys.modules[n] for n in ("_plan", "_docker", "_progress"))


def folder(root: Path, name: str, dockerfile: str):
    (root / name).mkdir()
    (root / name / "Dockerfile").write_text(dockerfile)
    return root / name


def options(torch: str = "cpu", base: str = "", wheels: tuple[Path, ...] = ()):
    return plan.Options(torch, base, None, wheels)


def hashes(root: Path, **more: Any):
    ordered = plan.images(root)
    plan.add_hashes(ordered, options(**more))
    return {i.name: i.hash for i in ordered}


@pytest.fixture
def family(tmp_path: Path):
    folder(tmp_path, "base", "ARG BASE_IMAGE=debian\nFROM ${BASE_IMAGE}\n")
    folder(tmp_path, "notebook", "ARG BASE_IMAGE=madang/base\nFROM ${BASE_IMAGE}\n")
    folder(tmp_path, "audio", "FROM madang/notebook\n")
    (tmp_path / "no-image").mkdir()
    return tmp_path


def test_parents_are_built_first(family: Path):
    assert [i.name for i in plan.images(family)] == [
        "madang/base",
        "madang/notebook",
        "madang/audio",
    ]


def test_images_that_start_from_each_other_are_refused(tmp_path: Path):
    folder(tmp_path, "a", "FROM madang/b\n")
    folder(tmp_path, "b", "FROM madang/a\n")
    with pytest.raises(docker_client.BuildError, match="madang/a, madang/b"):
        plan.images(tmp_path)


def test_a_name_brings_its_parents_and_an_unknown_one_is_refused(family: Path):
    ordered = plan.images(family)
    assert [i.name for i in plan.wanted(ordered, ["notebook"])] == [
        "madang/base",
        "madang/notebook",
    ]
    with pytest.raises(docker_client.BuildError, match="madang/nothing"):
        plan.wanted(ordered, ["nothing"])


def test_a_change_reaches_the_children_and_not_the_parents(family: Path):
    before = hashes(family)
    (family / "notebook" / "new.txt").write_text("x")
    after = hashes(family)
    assert [n for n in before if before[n] != after[n]] == ["madang/notebook", "madang/audio"]


def test_caches_of_python_change_nothing_and_modes_do(family: Path):
    before = hashes(family)
    (family / "notebook" / "__pycache__").mkdir()
    (family / "notebook" / "__pycache__" / "x.pyc").write_text("x")
    assert hashes(family) == before
    (family / "notebook" / "Dockerfile").chmod(0o755)
    assert hashes(family) != before


def test_another_torch_leaves_the_base_and_another_base_changes_all(family: Path):
    before, torch, base = hashes(family), hashes(family, torch="cuda"), hashes(family, base="x")
    assert [n for n in before if before[n] == torch[n]] == ["madang/base"]
    assert not [n for n in before if before[n] == base[n]]


def test_wheels_are_those_of_the_wanted_torch(tmp_path: Path):
    for name in (
        "torch-2.13.0+cpu-cp311.whl",
        "torch-2.13.0-cp311.whl",
        "nvidia_x-1.whl",
        "a-1.whl",
    ):
        (tmp_path / name).touch()
    where = f"{tmp_path} https://example.org/wheels"
    assert [w.name for w in plan.torch_wheels("cpu", where)] == ["torch-2.13.0+cpu-cp311.whl"]
    assert [w.name for w in plan.torch_wheels("cuda", where)] == [
        "nvidia_x-1.whl",
        "torch-2.13.0-cp311.whl",
    ]


def test_the_context_holds_folder_and_wheels_without_noise(family: Path, tmp_path: Path):
    wheel = tmp_path / "torch-1+cpu.whl"
    wheel.write_text("wheel")
    (family / "audio" / "__pycache__").mkdir()
    build.lay_out(plan.Image(family / "audio"), options(wheels=(wheel,)), tmp_path / "context")
    assert sorted(p.name for p in (tmp_path / "context").rglob("*")) == [
        "Dockerfile",
        "torch-1+cpu.whl",
        "wheels",
    ]


def test_the_index_is_a_secret_that_only_we_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:password@example.org")
    (argument,) = build.secrets(options(), tmp_path)
    assert "password" not in argument
    assert (tmp_path / "index").stat().st_mode & 0o777 == 0o600


def test_only_arguments_that_a_dockerfile_asks_for_are_given(
    family: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in build.PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    (family / "audio" / "Dockerfile").write_text("FROM madang/notebook\nARG TORCH=cuda\n")
    given = options(base="debian:12")
    assert build.arguments_for(plan.Image(family / "audio"), given) == ["--build-arg=TORCH=cpu"]
    assert build.arguments_for(plan.Image(family / "base"), given) == [
        "--build-arg=BASE_IMAGE=debian:12"
    ]


def test_a_missing_ca_bundle_is_a_wrong_option(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        build.parse(["--ca-bundle", "/nowhere"])
    assert stop.value.code == 2
    assert "/nowhere" in capsys.readouterr().err


def test_progress_tells_a_step_when_it_begins_and_skips_cached_ones(
    capsys: pytest.CaptureFixture[str],
):
    seen = progress.Progress("madang/x", terminal=False)
    for line in (
        "#5 [ 2/15] RUN --mount=type=secret,id=ca true",
        "#6 [ 3/15] COPY a b",
        "#5 CACHED",
        "#6 DONE 0.1s",
    ):
        seen.line(line)
    assert capsys.readouterr().err.split("  ")[-1].strip() == "3/15 COPY a b"
    assert "2/15" not in seen.now


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("OSError: [Errno 28] No space left on device", "docker system df"),
        ("SSLError(SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED", "--ca-bundle"),
        ("NewConnectionError: Temporary failure in name resolution", "PIP_INDEX_URL"),
        ("ERROR: Could not find x (from versions: none)", "does not answer"),
        ("ERROR: ResolutionImpossible", "--relock"),
    ],
)
def test_a_failure_shows_its_last_lines_and_what_to_do(said: str, hint: str):
    seen = progress.Progress("madang/x", terminal=False)
    for line in (
        "#5 [1/2] RUN pip",
        "#6 DONE",
        *(f"#5 0.1 {n}" for n in range(40)),
        f"#5 1.2 {said}",
    ):
        seen.line(line)
    seen.line("#5 ERROR: executor failed")
    reason = seen.reason()
    assert said in reason
    assert hint in reason
    assert "\n39\n" in reason
    assert "\n5\n" not in reason


def test_a_command_that_fails_ends_in_its_words():
    seen = progress.Progress("madang/x", terminal=False)
    with pytest.raises(docker_client.BuildError, match="no such thing"):
        progress.follow(["sh", "-c", "echo no such thing; exit 3"], {}, seen)


def test_no_docker_says_which_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(docker_client.shutil, "which", lambda _: None)
    with pytest.raises(docker_client.BuildError, match=r"apt-get install docker\.io"):
        docker_client.find_docker()


@pytest.mark.parametrize(
    ("engine", "buildkit", "said"),
    [("exit 1", "exit 1", "no Docker Engine"), ("echo 28.0.0", "exit 1", "docker-buildx")],
)
def test_no_engine_and_no_buildkit_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, buildkit: str, said: str
):
    (tmp_path / "docker").write_text(
        f"#!/bin/sh\ncase $1 in version) {engine};; *) {buildkit};; esac\n"
    )
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    which = docker_client.shutil.which
    monkeypatch.setattr(
        docker_client.shutil, "which", lambda c: None if c == "/usr/bin/docker" else which(c)
    )
    with pytest.raises(docker_client.BuildError, match=said):
        docker_client.find_builder()


def test_every_direct_package_is_pinned_and_locked_in_its_layer():
    known = set()
    for layer in ("torch", "requirements", "extensions"):
        lock = (IMAGES / "notebook" / f"{layer}.lock").read_text().splitlines()
        known |= {x.lower().replace("_", "-") for x in lock if not x.startswith("#")}
        text = (IMAGES / "notebook" / f"{layer}.txt").read_text().splitlines()
        asked = {x.lower() for x in text if x and not x.startswith("#")}
        assert all("==" in x for x in asked)
        assert not asked - known


def in_image(*command: str):
    return subprocess.run(
        ["docker", "run", *CAGE, "madang/notebook", *command],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def image():
    """The image as `make` built it; this test does not build one."""
    found = subprocess.run(
        ["docker", "image", "inspect", "madang/notebook"], capture_output=True, check=False
    )
    if found.returncode:
        pytest.fail("madang/notebook is missing: run images/build")


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_image_verifies_in_the_cage_of_students(image: None):
    done = in_image("verify")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.docker
def test_the_image_does_not_hold_the_hosts_ca_or_its_secrets(image: None):
    host = Path("/etc/ssl/certs/ca-certificates.crt").read_bytes()
    own = in_image("cat", "/etc/ssl/certs/ca-certificates.crt").stdout
    debian = in_image("sh", "-c", "cat /usr/share/ca-certificates/mozilla/*.crt").stdout
    assert own.count("BEGIN") == debian.count("BEGIN")
    blocks = {b.strip() for b in own.split("-----END CERTIFICATE-----")}
    assert all(b in debian for b in blocks)
    history = subprocess.run(
        ["docker", "history", "--no-trunc", "madang/notebook"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert hashlib.sha256(host).hexdigest() not in history
    assert "password" not in history


@pytest.mark.docker
@pytest.mark.parametrize(("language", "locale"), [("ko", "ko_KR"), ("en", "en_US")])
def test_start_sets_the_language_and_becomes_the_command(image: None, language: str, locale: str):
    done = in_image("sh", "-c", f"MADANG_LANG={language} start sh -c 'echo $LC_CTYPE; exit 7'")
    assert done.stdout == f"{locale}.UTF-8\n"
    assert done.returncode == 7
