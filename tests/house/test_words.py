"""One word for one thing: synonyms of the design's words are refused in names."""

import ast
import re

from tests.house.sources import IMAGE, ROOT, files, tree

# a word on the left is never used for what the word on the right means
_SYNONYMS = {
    "ticket": "request or lease", "allocation": "lease", "booking": "reservation",
    "cohort": "group", "flavor": "profile", "flavour": "profile", "queue_position": "position",
    "worker_node": "node", "machine_id": "node", "partition": "slice", "mig_device": "slice",
    "gpu_slot": "slice", "cronjob": "schedule", "snapshot_version": "release",
}
_WORD = re.compile(r"_+|(?<=[a-z])(?=[A-Z])")


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.arg):
        return [node.arg]
    return []


def _synonyms(name: str) -> list[str]:
    plain = "_".join(_WORD.split(name)).lower()
    return [x for x in _SYNONYMS if re.search(rf"(^|_){x}s?(_|$)", plain)]


def test_no_synonym_is_used_in_a_name() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)} {name}: say {_SYNONYMS[word]}"
        for path in files("hub", IMAGE) for node in ast.walk(tree(path))
        for name in _names(node) for word in _synonyms(name)
    ]
    assert not wrong, "\n".join(wrong)


def test_a_synonym_would_be_found() -> None:
    assert _synonyms("openTickets") == ["ticket"]
    assert _synonyms("mig_device_uuid") == ["mig_device"]
    assert _synonyms("partitioned") == []
