"""Settings: file, then environment, then defaults; nothing unknown."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from hub.config import ENV, Settings, load
from hub.errors import BadInput


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [x for x in os.environ if x.startswith(ENV)]:
        monkeypatch.delenv(name)


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "madang.toml"
    file.write_text(text, encoding="utf-8")
    return file


def refused(path: Path | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        load(path)
    assert caught.value.reason == "config"
    return caught.value.message


@pytest.mark.parametrize(("seconds", "good"), [(0, True), (599, False), (600, True), (-1, False)])
def test_servers_without_a_slice_are_not_stopped_before_their_activity_is_told(
    tmp_path: Path, seconds: int, *, good: bool
) -> None:
    file = write(tmp_path, f"cpu_idle = {seconds}\n")
    if good:
        assert load(file).cpu_idle == seconds
    else:
        assert "cpu_idle" in refused(file)


def test_without_anything_there_are_defaults() -> None:
    found = load()
    assert (found.port, found.bind, found.name) == (8000, "127.0.0.1", "madang")
    assert found.data.is_absolute()
    assert found.database_url == f"sqlite:///{found.data / 'madang.sqlite'}"
    assert found.node_name
    assert found.default_image in found.images


def test_the_file_beats_the_defaults_and_the_environment_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, 'port = 9000\nbind = "10.0.0.1"\nnode = "여기"\n')
    assert load(file).port == 9000
    monkeypatch.setenv("MADANG_PORT", "9100")
    found = load(file)
    assert (found.port, found.bind, found.node_name) == (9100, "10.0.0.1", "여기")
    monkeypatch.setenv("MADANG_CONFIG", str(file))
    assert load().port == 9100
    monkeypatch.setenv("MADANG_PORT", "")
    assert load().port == 9000


def test_an_unknown_key_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "unknown key 'prot'" in refused(write(tmp_path, "prot = 1\n"))
    monkeypatch.setenv("MADANG_PROT", "1")
    monkeypatch.setenv("MADANG_X", "1")
    said = refused()
    assert "MADANG_PROT, MADANG_X" in said


def test_every_problem_of_a_file_is_told_with_its_path(tmp_path: Path) -> None:
    file = write(tmp_path, 'port = "many"\ncpu_limit = -1\npin = "glue"\nname = "No"\nnew = 1\n')
    said = refused(file)
    assert str(file) in said
    for key in ("port", "cpu_limit", "pin", "name", "'new'"):
        assert key in said


def test_an_empty_variable_empties_what_may_be_empty_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, 'report_at = "06:00"\nport = 9000\n')
    for name in ("SCHEDULES_FILE", "NIGHT", "REPORT_AT", "PORT"):
        monkeypatch.setenv(f"MADANG_{name}", "")
    found = load(file)
    assert (found.schedules_file, found.night, found.report_at) == (None, "", "")
    assert found.port == 9000


@pytest.mark.parametrize(("name", "value"), [
    ("MADANG_PORT", "many"), ("MADANG_PORT", "0"), ("MADANG_PORT", "70000"),
    ("MADANG_TICK", "0"), ("MADANG_MEMORY_LIMIT", "8 GB"), ("MADANG_GPUS", "amd"),
    ("MADANG_AUTHENTICATOR", "none"), ("MADANG_PIDS_LIMIT", "1"), ("MADANG_NAME", "../x"),
])
def test_a_wrong_value_in_the_environment_is_refused_by_key(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert name.removeprefix(ENV).lower() in refused()


def test_an_environment_value_that_is_no_json_is_refused_too(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADANG_IMAGES", "not json")
    assert "images" in refused()


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert "none.toml" in refused(tmp_path / "none.toml")
    assert "madang.toml" in refused(write(tmp_path, "port = = 1"))
    broken = tmp_path / "latin.toml"
    broken.write_bytes(b'node = "\xe9"\n')
    assert "latin.toml" in refused(broken)


def test_names_that_other_programs_use_are_not_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MADANG_API", "http://x")
    monkeypatch.setenv("MADANG_TOKEN", "x")
    assert load().port == 8000


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load().port = 1  # type: ignore[misc]


def test_every_setting_says_what_it_is() -> None:
    assert [x for x, f in Settings.model_fields.items() if not f.description] == []
