"""`spawner_config.py` as it is, without the service: a test ticks by itself, when it wants to."""

import os
from pathlib import Path

load_subconfig(str(Path(__file__).resolve().parents[2] / "spawner_config.py"))  # noqa: F821
c = get_config()  # noqa: F821
OURS = {"command", "url", "cwd", "environment", "oauth_no_confirm"}
QUICK = os.environ.get("TEST_CPU_IDLE")  # seconds, fewer than the settings take
for one in c.JupyterHub.services:
    if one["name"] == "madang":
        for key in OURS:
            del one[key]
        one["api_token"] = "test-service-token"
    elif one["name"] == "madang-culler" and QUICK:
        one["command"][-2:] = [f"--timeout={QUICK}", "--cull-every=1"]
