"""The table of metrics, read from the calls that make them: a page shows some only once there is a feed."""

import ast
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import macaroon_cbat
from guide_tables.markdown import code, table

PACKAGE = Path(macaroon_cbat.__file__).parent
_PREFIX = "macaroon_cbat_"
_KINDS = {
    "Counter": "counter",
    "Gauge": "gauge",
    "PublishedGauge": "gauge",
    "Histogram": "histogram",
    "GaugeMetricFamily": "gauge",
    "CounterMetricFamily": "counter",
}
_SUFFIX = {"counter": "_total", "gauge": "", "histogram": ""}


def metrics() -> str:
    """Return every metric with its labels, by the part of the package that shows it."""
    rows = sorted(row for file in PACKAGE.rglob("*.py") for row in _rows(file))
    return table(("shown by", "metric", "kind", "meaning"), rows)


def metric_names() -> set[str]:
    """Return the name of every metric as the page spells it."""
    return {name for file in PACKAGE.rglob("*.py") for _, name, *_ in _calls(file)}


def _rows(file: Path) -> Iterator[tuple[str, ...]]:
    for kind, name, words, labels in _calls(file):
        shown = file.relative_to(PACKAGE).parts[0]
        yield shown, code(f"{name}{{{','.join(labels)}}}" if labels else name), kind, words


def _calls(file: Path) -> Iterator[tuple[str, str, str, Sequence[str]]]:
    """Yield kind, name, words and labels of each metric that a module makes."""
    tree = ast.parse(file.read_text())
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or len(call.args) < 2:
            continue
        if kind := _KINDS.get(ast.unparse(call.func).rpartition(".")[2]):
            name, words = call.args[:2]
            for text, meaning, labels in _made(tree, name, words, _labels(call)):
                if text.startswith(_PREFIX):
                    yield kind, text + _SUFFIX[kind], meaning, labels


def _made(
    tree: ast.Module, name: ast.expr, words: ast.expr, labels: Sequence[str]
) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Yield name, words and labels; a metric about feeds is one for each kind of feed."""
    name = _assigned(tree, name)
    if isinstance(name, ast.Constant) and isinstance(words, ast.Constant):
        yield str(name.value), str(words.value), labels
    elif isinstance(name, ast.JoinedStr) and isinstance(words, ast.JoinedStr):
        for feed, followed in _feeds().items():
            yield _filled(name, feed), _filled(words, feed), followed


def _assigned(tree: ast.Module, node: ast.expr) -> ast.expr:
    """Return what a variable is set to, or any other expression as it is."""
    for each in ast.walk(tree):
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == ast.unparse(node):
            return each.value
    return node


def _filled(text: ast.JoinedStr, feed: str) -> str:
    parts = [part.value if isinstance(part, ast.Constant) else feed for part in text.values]
    return "".join(map(str, parts))


def _labels(call: ast.Call) -> list[str]:
    given = [*call.args[2:3], *(word.value for word in call.keywords if word.arg in {"labelnames", "labels"})]
    return [str(name) for node in given if isinstance(node, ast.List) for name in ast.literal_eval(node)]


@cache
def _feeds() -> dict[str, list[str]]:
    """Return the labels of each kind of feed whose age is shown, from what it says that it follows."""
    feeds = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text())
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "show_age":
                feeds[str(ast.literal_eval(call.args[0]))] = _followed(tree)
    return feeds


def _followed(tree: ast.Module) -> list[str]:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name == "followed":
            (answer,) = (node for node in ast.walk(function) if isinstance(node, ast.Dict))
            return [str(ast.literal_eval(key)) for key in answer.keys if key is not None]
    raise LookupError("a feed does not say what it follows")
