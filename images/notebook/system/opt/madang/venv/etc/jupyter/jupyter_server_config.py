"""The image's part of the server's configuration; the hub and the student come after it."""

from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager
from traitlets import default


class StudentKernels(KernelSpecManager):
    """The image's kernels, then those a student made in a venv of their own.

    JupyterHub's disable_user_config hides the home from all of Jupyter's paths, kernels too.
    """

    @default("kernel_dirs")
    def _with_home(self) -> list[str]:
        home = str(Path.home() / ".local/share/jupyter/kernels")
        return [*dict.fromkeys([*self._kernel_dirs_default(), home])]


c = get_config()  # noqa: F821 - put there by traitlets
c.ServerApp.kernel_spec_manager_class = StudentKernels
# Packages are added by pip in a terminal; Lab's button would need a restart of the server.
c.LabApp.extension_manager = "readonly"
