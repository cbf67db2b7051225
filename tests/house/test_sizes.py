"""Files of at most 350 lines, functions of at most 50, nine in ten of at most 20."""

from tests.house.sources import IMAGE, ROOT, files, functions, length

_FILE, _FUNCTION, _SHORT, _SHARE = 350, 50, 20, 0.9
_OURS = ("hub", IMAGE, "tests")


def test_files_are_short() -> None:
    long = {str(p.relative_to(ROOT)): n for p in files(*_OURS)
            if (n := len(p.read_text().splitlines())) > _FILE}
    assert not long


def test_functions_are_short() -> None:
    long = {f"{p.relative_to(ROOT)}:{f.lineno} {f.name}": length(f)
            for p in files(*_OURS) for f in functions(p) if length(f) > _FUNCTION}
    assert not long


def test_nine_functions_in_ten_fit_a_glance() -> None:
    lengths = [length(f) for p in files("hub", IMAGE) for f in functions(p)]
    assert lengths
    share = sum(x <= _SHORT for x in lengths) / len(lengths)
    assert share >= _SHARE, f"only {share:.1%} of {len(lengths)} functions have {_SHORT} lines"
