"""`make`: installs what Madang needs on a fresh machine, and starts it.

Runs before the virtual environment exists, so it uses the standard library only. Each step says
what it installs and why, and is skipped when its stamp says that nothing changed.
"""
