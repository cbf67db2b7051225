"""A run's secrets: its notebook has them, and what is kept of it does not."""

import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from madang import echo
from madang.job import BadJob, Secret
from madang.masking import MASK, Mask, _forms, read
from nbformat import from_dict
from nbformat.v4 import new_code_cell, new_notebook

from tests.images.bench import PYTHON, Bench, parameters

TOKEN = 'tök&n"1\'<2>\\ 3+4/5'
KEY = "-----BEGIN KEY-----\nbm90IHJlYWxseSBh\ndGhpbmcgdG8gc2Vl\n-----END KEY-----\n"


def given(folder: Path, **values: str) -> list[dict[str, Any]]:
    """Secrets as a job names them; the first is an environment variable too."""
    made = []
    for name, value in values.items():
        path = folder / f"secret-{name}"
        path.write_text(value)
        made.append({"name": name, "path": str(path), "env": not made})
    return made


def everything(folder: Path) -> str:
    return "\n".join(x.read_text() for x in sorted(folder.rglob("*")) if x.is_file())


SHOW = """
import os, sys, json, html, urllib.parse
from IPython.display import HTML, display
token, key = os.environ["TOKEN"], open(os.environ["KEY_FILE"]).read()
assert open(os.environ["TOKEN_FILE"]).read() == token
assert "KEY" not in os.environ
print("plain", token)
print(key, file=sys.stderr)
for part in (token[:5], token[5:]):
    print(part, end="", flush=True)
print()
print(repr(token), json.dumps(token), ascii(token), token.encode())
print("https://example.org/?token=" + urllib.parse.quote_plus(token), urllib.parse.quote(token))
print("x" * 1990 + token)
display(HTML("<b>" + html.escape(token) + "</b>"))
display({"text/plain": key, "application/json": {token: [token]}}, raw=True)
import madang
madang.record(mine=token)
{"deep": [token, key]}
"""


def test_nothing_that_is_kept_or_logged_has_the_value(bench: Bench) -> None:
    done = bench.run(
        [parameters("a = 1"), SHOW, f"raise ValueError('no ' + token + '''{KEY}''' + key)"],
        parameters={"a": 2}, secrets=given(bench.home, TOKEN=TOKEN, KEY=KEY),
    )
    assert done.code == 1, done.log
    assert done.statuses == ["completed", "completed", "completed", "failed"], done.log
    (done.folder / "metrics.json").unlink()  # the notebook's own file
    kept = done.log + everything(done.folder)
    for text in ("bm90IHJlYWxseSBh", "dGhpbmcgdG8gc2Vl", *_forms(TOKEN)):
        assert text not in kept
    assert f"plain {MASK}" in done.log
    assert f"plain {MASK}\n" in done.text(2)
    assert done.record["error"]["evalue"].startswith(f"no {MASK}")
    assert done.record["metrics"] == {"mine": MASK}
    assert "madang: failed cell 4/4: ValueError: no ***" in done.log


def test_the_last_word_is_masked_before_it_is_cut(bench: Bench) -> None:
    done = bench.run(
        ["import os; raise ValueError('x' * 250 + os.environ['LONG'])"],
        secrets=given(bench.home, LONG="s3cret" * 20),
    )
    assert "s3cret" not in done.log + everything(done.folder)


def test_the_notebook_that_runs_is_the_one_that_was_submitted(bench: Bench) -> None:
    """Its source may hold the value; it is kept masked, and runs as it stands."""
    done = bench.run(
        [f"import os; print(os.environ['TOKEN'] == {TOKEN!r})", "print(2)"],
        secrets=given(bench.home, TOKEN=TOKEN),
    )
    assert done.code == 0, done.log
    assert done.text(0) == "True\n"
    assert repr(TOKEN) not in everything(done.folder)


def test_a_value_like_a_word_of_the_format_breaks_nothing(bench: Bench) -> None:
    done = bench.run(
        ["print('stream of outputs: python3, metadata, completed')", "1/0"],
        secrets=given(
            bench.home, A="stream", B="outputs", C="python3", D="metadata", E="completed",
            F="madang", G="failed",
        ),
    )
    assert done.code == 1, done.log
    assert done.text(0) == "*** of ***: ***, ***, ***\n"
    assert done.notebook.metadata.kernelspec.name == "python3"
    assert done.statuses == ["completed", "failed"]
    assert done.record["stage"] == "failed"


def test_a_secret_that_is_not_there_is_refused_before_anything_begins(bench: Bench) -> None:
    done = bench.run(["1"], secrets=[{"name": "GONE", "path": "/run/none", "env": False}])
    assert (done.code, done.said) == (
        2, "madang: failed The secret GONE cannot be read: No such file or directory.")
    assert not done.folder.exists()


def test_what_is_short_is_not_masked_and_the_longest_goes_first() -> None:
    mask = Mask(["abc", "abcdef", "abcdefghi", "  spaced out \n"])
    assert mask.text("abc abcdef abcdefghi (spaced out)") == "abc *** *** (***)"
    assert not Mask(["abc", "", "\n"])
    assert Mask([]).text("abc") == "abc"


def test_a_copy_is_masked_and_not_the_notebook() -> None:
    nb = new_notebook(cells=[new_code_cell("x = 'hunter22'")], metadata={"kernelspec": PYTHON})
    kept = Mask(["hunter22"]).notebook(nb)
    assert kept.cells[0].source == "x = '***'"
    assert nb.cells[0].source == "x = 'hunter22'"
    assert Mask([]).notebook(nb) is nb


def test_pictures_are_left_alone() -> None:
    out = {"output_type": "display_data", "metadata": {}, "data": {
        "image/png": "AAhunter22AA", "image/svg+xml": "<svg>hunter22", "text/html": ["hunter22"],
    }}
    nb = json.loads(json.dumps(new_notebook(cells=[new_code_cell("1")])))
    nb["cells"][0]["outputs"] = [out]
    kept = Mask(["hunter22"]).notebook(from_dict(nb)).cells[0].outputs[0].data
    assert kept == {"image/png": "AAhunter22AA", "image/svg+xml": "<svg>***", "text/html": ["***"]}


def test_bytes_are_a_file_and_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "KEY"
    path.write_bytes(b"\xff\xfe\0binary value")
    environment, mask = read([Secret("KEY", path)])
    assert environment == {"KEY_FILE": str(path)}
    assert mask
    with pytest.raises(BadJob, match="The secret X cannot be read"):
        read([Secret("X", tmp_path / "none")])


# ---- halves -------------------------------------------------------------------------------


def heard(monkeypatch: pytest.MonkeyPatch) -> tuple[echo.Echo, io.StringIO]:
    """A log that shows every line at once, finished or not."""
    monkeypatch.setattr(echo, "REFRESH", -1)
    log = io.StringIO()
    made = echo.Echo(log)
    made.mask = Mask([TOKEN, "hunter22", "hunter22-longer"])
    return made, log


def test_a_pipe_that_cuts_a_value_in_two_shows_neither_half(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for form in {*_forms(TOKEN), "hunter22", "hunter22-longer"}:
        for cut in range(1, len(form)):
            log, out = heard(monkeypatch)
            log.stream("stderr", f"see {form[:cut]}")
            log.stream("stderr", f"{form[cut:]} there\n")
            assert set(out.getvalue().splitlines()) <= {"see ", "see *** there"}, (form, cut)


def test_a_value_that_something_comes_between_is_still_one(monkeypatch: pytest.MonkeyPatch) -> None:
    log, out = heard(monkeypatch)
    log.stream("stdout", "see hunt")
    log.value("a figure")
    log.stream("stdout", "er2")
    log.say("warning the disk is full")
    log.stream("stdout", "2\x1b[")
    log.stream("stdout", "31m and hun\x1b[0")
    log.stream("stdout", "mter22\n")
    assert [x for x in out.getvalue().splitlines() if x] == [
        "see ", "see ", "a figure", "madang: warning the disk is full", "*** and ", "*** and ***",
    ]


def test_what_only_began_like_a_value_is_shown_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    log, out = heard(monkeypatch)
    log.stream("stdout", "we hunt")
    log.end_cell()
    log.stream("stdout", "and hunter22")
    log.error(["no"], "")
    assert out.getvalue().splitlines() == ["we ", "we hunt", "and ", "and ***", "no"]


def test_what_is_shown_early_is_what_the_whole_line_will_show() -> None:
    luck = random.Random(7)
    mask = Mask(["abaaba", "abaabaab", "babbab", "aaaaaaa"])
    for _ in range(3000):
        line = "".join(luck.choices("ab", k=luck.randrange(40)))
        cut = luck.randrange(len(line) + 1)
        sure = mask.sure(line[:cut])
        assert mask.text(line[:sure]) + mask.text(line[sure:]) == mask.text(line), (line, cut)
        assert cut - sure < len("abaabaab") + len("abaaba")
