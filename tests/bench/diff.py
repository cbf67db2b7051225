"""Two notebooks of 20 MB full of images: how long their comparison takes; nbdime's own beside it.

    .venv/bin/python -m tests.bench.diff [--mib 20] [--times 5] [--limit 120]

The same two notebooks go to both, in the same run: one edited cell, all images drawn anew. "ours"
is what a page waits for: both files are read, sent to the process aside, parsed there, compared,
and the answer is read. Stopped after `--limit` seconds: nbdime (4.0.4) takes minutes for some.
"""

import argparse
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hub.comparing import comparison_of
from hub.edge.aside import Aside
from tests.notebooks import code, notebook, png, shown, text

# (name, code cells, images in each, bytes of an image as a part of the whole)
SHAPES = (("200 cells x 1 image", 200, 1), ("20 cells x 20 images", 20, 20),
          ("2 cells x 200 images", 2, 200))


def made(cells: int, images: int, mib: float, luck: random.Random, edit: str) -> dict[str, Any]:
    """A notebook of this size: sources as people write them, images of random bytes."""
    size = int(mib * (1 << 20) * 3 / 4 / (cells * images))

    def drawn() -> dict[str, Any]:
        return shown("image/png", png(640, 480, luck.randbytes(size)))

    found = [text("t", "# An experiment")]
    for i in range(cells):
        source = f"# step {i}\nfor x in range({i}):\n    train(x, rate={i / 100})\nplt.show()"
        found.append(code(f"c{i}", source + (edit if i == cells // 2 else ""),
                          *(drawn() for _ in range(images))))
    return notebook(*found)


def ours(before: Path, after: Path, aside: Aside) -> None:
    found = comparison_of(aside.call(
        "hub.comparing:compare", before.read_bytes(), after.read_bytes()
    ))
    assert found.changed == 1, found
    assert found.outputs


def theirs(before: Path, after: Path) -> None:
    """nbdime as its manual says, on the notebooks as they are."""
    import nbformat
    from nbdime import diff_notebooks

    diff_notebooks(*(nbformat.read(x, as_version=4) for x in (before, after)))


def limited(work: Callable[..., None], limit: float, *given: Any) -> float | None:
    """Seconds; None where it did not end in time."""
    process = multiprocessing.get_context("fork").Process(target=work, args=given)
    begun = time.perf_counter()
    process.start()
    process.join(limit)
    took = time.perf_counter() - begun
    if process.exitcode is None:
        process.kill()
        process.join()
        return None
    return took if process.exitcode == 0 else None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mib", type=float, default=20)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--limit", type=float, default=120)
    asked = parser.parse_args()
    import nbdime  # imported before anything is measured: theirs is forked from here
    import nbformat  # noqa: F401

    print(f"nbdime {nbdime.__version__}, notebooks of {asked.mib:g} MiB, "
          f"median of {asked.times} (nbdime: one)")
    for name, cells, images in SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            _measure(name, Path(folder), (cells, images), asked)


def _measure(name: str, folder: Path, shape: tuple[int, int], asked: Any) -> None:
    luck = random.Random(name)
    files = [folder / x for x in ("before.ipynb", "after.ipynb")]
    for path, edit in zip(files, ("", "\nprint('edited')"), strict=True):
        path.write_text(json.dumps(made(*shape, asked.mib, luck, edit)))
    aside = Aside()
    took = []
    for _ in range(asked.times + 1):
        begun = time.perf_counter()
        ours(*files, aside)
        took.append(time.perf_counter() - begun)
    aside.close()
    nbdime = limited(theirs, asked.limit, *files)
    said = f"{nbdime:.2f} s" if nbdime is not None else f"not in {asked.limit:g} s"
    sizes = " and ".join(f"{x.stat().st_size / (1 << 20):.1f}" for x in files)
    print(f"{name:22s} {sizes} MiB   ours {statistics.median(took[1:]):.3f} s "
          f"(worst {max(took[1:]):.3f}, the first with its process {took[0]:.2f})   nbdime {said}")


if __name__ == "__main__":
    main()
