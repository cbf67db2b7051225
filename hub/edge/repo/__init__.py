"""Bare git repositories of courses: never a shell, and no configuration but ours.

What is pushed was made by somebody: git reads it with a limit on time, memory and what it may say,
nothing is checked out, no submodule is followed, and the only hooks are ours.
"""

from hub.edge.repo.backend import Backend
from hub.edge.repo.calling import GitError
from hub.edge.repo.repo import MAIN, NONE, Put, Repo
from hub.edge.repo.tree import GitTree

__all__ = ["MAIN", "NONE", "Backend", "GitError", "GitTree", "Put", "Repo"]
