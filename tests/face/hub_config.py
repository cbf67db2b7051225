"""`spawner_config.py` as it is, without the service: a test ticks by itself, when it wants to."""

from pathlib import Path

load_subconfig(str(Path(__file__).resolve().parents[2] / "spawner_config.py"))  # noqa: F821
c = get_config()  # noqa: F821
OURS = {"command", "url", "cwd", "environment", "oauth_no_confirm"}
c.JupyterHub.services = [
    {k: v for k, v in x.items() if k not in OURS}
    | ({"api_token": "test-service-token"} if x["name"] == "madang" else {})
    for x in c.JupyterHub.services
]
