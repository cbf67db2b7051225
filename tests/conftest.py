"""The order of a run: what takes minutes first, or a worker would begin it when others are done.

And hypothesis without a clock: a clean checkout builds its tables of characters first (3 s), and a
busy machine is no fault of an example.
"""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("madang", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("madang")
# a shell ignores Ctrl-C in what it starts with "&", and so would all that the tests start
signal.signal(signal.SIGINT, signal.default_int_handler)

# measured; a file that is not named here takes seconds
_LONG = (
    "floor/test_handout_killed.py", "browser/test_courses_lab.py",
    "browser/test_courses_lab_real.py", "face/test_git_attacks.py", "face/test_git.py",
    "browser/test_notebook_jobs_real.py", "browser/test_notebook_jobs.py",
    "browser/test_courses.py", "browser/test_student.py", "browser/test_line_class.py",
    "browser/test_line_idle.py", "browser/test_line_turns.py", "face/test_spawner.py",
    "images/test_runner.py", "images/test_courses_lab.py", "floor/test_publishing_killed.py",
    "face/test_login_hub.py", "images/test_activity.py", "images/test_cli.py",
    "images/test_images.py", "face/test_cli_host.py", "images/test_runner_ends.py",
    "edge/test_hubapi.py",
    "face/test_accounts.py", "browser/test_board.py", "edge/test_store_trouble.py",
    "face/test_stream.py", "images/test_training.py", "images/test_notebooks.py",
    "images/test_notebook_jobs.py", "images/test_notebook_jobs_list.py",
    "edge/test_firewall.py",
)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """After pytest-randomly has shuffled: it keeps each file's tests together, and so do we."""
    yield
    rank = {name: i for i, name in enumerate(_LONG)}
    items.sort(key=lambda x: rank.get("/".join(x.path.parts[-2:]), len(rank)))
