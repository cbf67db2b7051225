"""What looks like a secret in a course: by a file's name, and by what stands in it, with the line.

A net under accidents, like every such list: what it finds is refused, what it misses is handed out.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from hub.core.courses import Problem
from hub.core.coursetree import shown
from hub.errors import Text

_NAMES = (
    ".env", ".env.*", "*.env", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.pem", "*.p12",
    "*.pfx", "*.jks", "*.keystore", ".netrc", "_netrc", ".pgpass", ".git-credentials",
    ".htpasswd", "credentials.json", "client_secret*.json", "kaggle.json", "*.kdbx",
    "jupyter_cookie_secret", "jpserver-*.json", "kernel-*.json", "*.ppk",
)
_HARMLESS = (".env.example", ".env.sample", ".env.template", "example.env", "sample.env")
_READ = 4 << 20  # bytes of a file: what is larger is data
_TOLD = 5  # of one file
_KINDS: dict[str, Text] = {
    "key": Text("a private key"),
    "aws": Text("an access key of AWS"),
    "github": Text("a token of GitHub"),
    "gitlab": Text("a token of GitLab"),
    "hf": Text("a token of Hugging Face"),
    "google": Text("a key of Google"),
    "slack": Text("a token of Slack"),
    "openai": Text("a key of OpenAI or Anthropic"),
    "wandb": Text("a key of Weights & Biases"),
    "pypi": Text("a token of PyPI"),
    "hub": Text("a token of JupyterHub"),
}
_FOUND = re.compile(rb"""
    (?P<key>-----BEGIN\ (?:[A-Z0-9]{1,20}\ ){0,3}PRIVATE\ KEY)
  | \b(?P<aws>(?:AKIA|ASIA)[0-9A-Z]{16})\b
  | \b(?P<github>gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255})
  | \b(?P<gitlab>glpat-[A-Za-z0-9_-]{20,64})
  | \b(?P<hf>hf_[A-Za-z0-9]{30,64})\b
  | \b(?P<google>AIza[0-9A-Za-z_-]{35})(?![0-9A-Za-z_-])
  | \b(?P<slack>xox[abeoprs]-[0-9A-Za-z-]{10,250})
  | \b(?P<openai>sk-(?:proj-|svcacct-|ant-[a-z0-9]{1,10}-)[A-Za-z0-9_-]{32,250}
        |sk-[A-Za-z0-9]{40,100}\b)
  | (?i:wandb[\w.]{0,30}(?:key|login)[^\n]{0,20}?)['"]?(?P<wandb>\b[0-9a-f]{40}\b)
  | \b(?P<pypi>pypi-AgE[A-Za-z0-9_-]{50,250})
  | (?:JUPYTERHUB_API_TOKEN|MADANG_TOKEN)\s{0,5}[=:]\s{0,5}\\?['"]?(?P<hub>[0-9a-f]{32}\b)
""", re.VERBOSE)
# what one of them must have, so that most files are seen in one quick look
_HINTS = (
    b"PRIVATE KEY", b"AKIA", b"ASIA", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_",
    b"glpat-", b"hf_", b"AIza", b"xox", b"sk-", b"wandb", b"WANDB", b"pypi-", b"_TOKEN",
)


def problems(path: str, content: bytes, sent: bytes) -> Iterator[Problem]:
    """What looks like a secret in `content`; the lines are those of the file as it was sent."""
    name = path.rpartition("/")[2].casefold()
    if any(fnmatchcase(name, x) for x in _NAMES) and name not in _HARMLESS:
        yield Problem(shown(path), 0, Text(
            "A file of this name mostly holds a secret. Take it out of the course; whoever runs a "
            "notebook is given secrets with --secret."
        ))
        return
    if len(content) > _READ or not any(x in content for x in _HINTS):
        return
    for told, match in enumerate(_FOUND.finditer(content)):
        if told == _TOLD:
            return
        kind = match.lastgroup or "key"
        place = sent.find(match[kind])
        line = sent.count(b"\n", 0, place) + 1 if place >= 0 else 0
        yield Problem(shown(path), line, Text(
            "This looks like {kind}. Take it out, and make a new one: who has read it has it. Of "
            "an example leave a part out.", kind=_KINDS[kind],
        ))
