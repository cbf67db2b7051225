"""The extension of the Jupyter server, in a real one: which slice is this?"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.images.bench import PACKAGE

SLICE = {
    "MADANG_SLICE": "3g.20gb", "MADANG_GPU": "NVIDIA A100-SXM4-40GB", "MADANG_UUID": "MIG-1",
    "MADANG_MEMORY_MIB": "19968", "MADANG_LEASE": "l1",
}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server with the environment that the test names."""
    port = free_port()
    on = json.dumps({"ServerApp": {"jpserver_extensions": {"madang.server": True}}})
    (tmp_path / "jupyter_server_config.json").write_text(on)
    child = subprocess.Popen(
        [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--port={port}",
         "--ServerApp.base_url=/user/kim/", "--IdentityProvider.token=t", "--ip=127.0.0.1"],
        env={**os.environ, "PYTHONPATH": str(PACKAGE), "JUPYTER_CONFIG_DIR": str(tmp_path),
             "HOME": str(tmp_path), **request.param},
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}/user/kim/madang/lease"
    try:
        until_it_answers(address)
        yield address
    finally:
        child.terminate()
        child.wait(20)


def until_it_answers(address: str) -> None:
    for _ in range(300):
        try:
            httpx.get(address)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server does not answer")


@pytest.mark.parametrize("server", [SLICE], indirect=True)
def test_it_names_the_slice_to_whom_it_belongs(server: str) -> None:
    assert httpx.get(server).status_code == 403
    answer = httpx.get(server, headers={"Authorization": "token t"})
    assert answer.json() == {
        "slice": "3g.20gb", "gpu": "NVIDIA A100-SXM4-40GB", "uuid": "MIG-1", "memory_mib": 19968,
        "lease": "l1", "text": "3g.20gb · A100-SXM4-40GB · 19.5 GiB",
    }


@pytest.mark.parametrize("server", [{"MADANG_SLICE": ""}], indirect=True)
def test_without_a_slice_it_says_cpu(server: str) -> None:
    answer = httpx.get(server, headers={"Authorization": "token t"}).json()
    assert (answer["slice"], answer["text"]) == (None, "CPU")
