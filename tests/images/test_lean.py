"""What a run does not import, and finds all the same when it is asked for."""

import subprocess
import sys

from tests.images.bench import PACKAGE

CODE = """
import sys
sys.path.insert(0, {package!r})
from madang import lean
lean.prepare()
import madang.execution
loaded = [x for x in ("urllib3", "click.core", "arrow", "isoduration.parser", "IPython")
          if sys.modules.get(x)]
assert not loaded, loaded
import requests, click, papermill.iorw
assert papermill.iorw.requests.get is requests.get
assert requests.codes.ok == 200 and sys.modules["urllib3"]
assert click.echo and sys.modules["click.core"]
try:
    requests.nothing
except AttributeError as e:
    print(e)
"""


def test_what_is_seldom_used_is_loaded_when_it_is() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", CODE.format(package=str(PACKAGE))], capture_output=True,
        text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "module 'requests' has no attribute 'nothing'"
