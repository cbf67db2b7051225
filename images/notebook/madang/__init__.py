"""What lives inside every container of Madang, and the command `madang`. Imports nothing of `hub`.

- runner: `python -I -m madang.runner JOB` runs one notebook and tells the truth about its end
- execution: one run from its job to its end; job: what is asked, refused where it cannot be done
- engine, bookkeeping: papermill's engine with true statuses, atomic saves, and a stop that is heard
- ahead, waiting, kernels: a kernel's process that imports while the runner does; lean: what is not
  imported at all
- stopping, memory, echo, gasp, files, figures, runjson: its parts
- results: `madang.record(accuracy=0.97)` and `madang.glue`, figures of a run
- progress: `madang.progress(3, 10)`; display: how these show in a notebook
- checkpoint: `madang.Checkpoint("train")` saves and loads the state of a training; kept, chance,
  interrupts: its file, the random generators, a stop between two steps
- packing: the notebook's folder as one file, and unpacked again
- cli: the command `madang`; client, follow, tables, typed are its parts
- server: extension of the Jupyter server: which slice is this?
"""

from madang.checkpoint import Checkpoint
from madang.progress import progress
from madang.results import glue, record

__all__ = ["Checkpoint", "__version__", "glue", "progress", "record"]
__version__ = "0.1.0"
