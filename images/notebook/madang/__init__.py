"""What lives inside every container of Madang, and the command `madang`. Imports nothing of `hub`.

    runner   python -m madang.runner JOB: one notebook, one set of parameters, a truthful end
    engine   papermill's engine: a kernel that can be stopped, a death that is told; bookkeeping is its half
    job      what the runner is asked to do, and refusing what cannot be done
    echo     a notebook's output as lines of a log
    files    writes that a reader never sees half done
    runjson  run.json: everything needed to do the run again
    results  `madang.record(accuracy=0.97)`: figures of a run, beside its notebook
    cli      the command `madang`; client, follow, tables and messages are its parts
    server   Jupyter server extension: which slice is this?
"""

from madang.results import record

__all__ = ["__version__", "record"]
__version__ = "0.1.0"
