"""What a query of Prometheus asks for: its series, and the labels that it uses. No evaluation."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hub import metrics

_TOKEN = re.compile(r"""
    (?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
  | (?P<range>\[[^\]]*\])
  | (?P<number>\d[\w.]*|\.\d\w*)
  | (?P<name>[A-Za-z_:$][\w:$]*)
  | (?P<sign>=~|!~|!=|==|<=|>=|[-+*/%^=<>(){},@])
  | (?P<space>\s+)
""", re.VERBOSE)
_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_WORDS = _LISTS | {"and", "or", "unless", "offset", "bool", "inf", "nan", "start", "end"}


@dataclass(frozen=True)
class Selector:
    """One series with the labels of its braces."""

    name: str
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Query:
    """The series of an expression, and the labels named by `by`, `on` and their like."""

    selectors: tuple[Selector, ...]
    labels: frozenset[str]


def read(expr: str) -> Query:
    """The parts of an expression.

    Raises:
        ValueError: it is no PromQL, as far as can be told without a grammar.
    """
    tokens = list(_tokens(expr))
    if tokens.count(("sign", "(")) != tokens.count(("sign", ")")):
        raise ValueError(f"brackets do not match: {expr}")
    selectors: list[Selector] = []
    labels: set[str] = set()
    at = 0
    while at < len(tokens):
        kind, text = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        at += 1
        if kind != "name" or text.startswith("$"):
            continue
        if text in _LISTS and following == "(":
            found, at = _inside(tokens, at, ")")
            labels |= {x for k, x in found if k == "name"}
        elif text.lower() in _WORDS or following in ("(", "by", "without"):
            continue  # a word of the language, or a function
        elif following == "{":
            found, at = _inside(tokens, at, "}")
            selectors.append(Selector(text, frozenset(x for k, x in found if k == "name")))
        else:
            selectors.append(Selector(text))
    return Query(tuple(selectors), frozenset(labels))


def _tokens(expr: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(expr):
        found = _TOKEN.match(expr, at)
        if not found:
            raise ValueError(f"not understood from {expr[at:]!r} on")
        at = found.end()
        if found.lastgroup != "space":
            yield str(found.lastgroup), found[0]


def _inside(
    tokens: list[tuple[str, str]], at: int, closing: str
) -> tuple[list[tuple[str, str]], int]:
    """(what stands between the bracket at `at` and its end, where it goes on)."""
    end = tokens.index(("sign", closing), at)
    return tokens[at + 1:end], end + 1


def samples() -> dict[str, frozenset[str]]:
    """Every sample that Madang shows → its labels, in the words of a query."""
    found: dict[str, frozenset[str]] = {}
    for one in metrics.ALL:
        labels = frozenset(one.labels)
        if one.type != "histogram":
            found[one.name] = labels
            continue
        found[f"{one.name}_bucket"] = labels | {"le"}
        found[f"{one.name}_count"] = labels
        # prometheus_client shows no sum where an observation may be negative
        if not one.name.endswith("_error_seconds"):
            found[f"{one.name}_sum"] = labels
    return found


def problems(expr: str, known: dict[str, frozenset[str]]) -> list[str]:
    """What an expression asks for that is not there."""
    query = read(expr)
    wrong = [f"no series {x.name}" for x in query.selectors if x.name not in known]
    wrong += [
        f"{x.name} has no label {label}" for x in query.selectors if x.name in known
        for label in sorted(x.labels - known[x.name])
    ]
    every = [known[x.name] for x in query.selectors if x.name in known]
    wrong += [f"not all series have the label {label}" for label in sorted(query.labels)
              if not all(label in x for x in every)]
    return wrong if query.selectors else ["no series at all"]
