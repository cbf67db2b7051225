"""What lives inside every container of Madang, and the command `madang`. Imports nothing of `hub`.

- runner: `python -I -m madang.runner JOB` runs one notebook and tells the truth about its end
- execution: one run from its job to its end; job: what is asked, refused where it cannot be done
- engine, bookkeeping: papermill's engine with true statuses, atomic saves, and a stop that is heard
- stopping, memory, echo, files, runjson: its parts
- results: `madang.record(accuracy=0.97)`, figures of a run beside its notebook
- cli: the command `madang`; client, follow, tables, typed are its parts
- server: extension of the Jupyter server: which slice is this?
"""

from madang.results import record

__all__ = ["__version__", "record"]
__version__ = "0.1.0"
