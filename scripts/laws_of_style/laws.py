"""The laws: short files and functions, docstrings that begin with their subject, and named actors."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from msgspec import Struct

LONGEST_FILE, LONGEST_FUNCTION = 250, 30
_OPENING = re.compile(r"(?:(?:What|Who)(?:ever)?|How|Where|Which|When|By|Over|Whose)\b")
_NAMELESS = re.compile(r"(?<![a-z])(?:(?:no|some|any)body|who(?:so)?ever)", re.IGNORECASE)

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Finding(Struct, frozen=True, order=True):
    """One breach of a law: the file, the line, and the correction."""

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        """Return the finding as compilers write theirs."""
        return f"{self.file}:{self.line}: {self.what}"


def findings(file: Path, name: str) -> list[Finding]:
    """Return every breach of a law in one module, which is shown under this name."""
    source = file.read_text()
    tree = ast.parse(source)
    found = [*_lengths(source, tree), *_openings(tree), *_nameless(source)]
    return sorted(Finding(name, line, what) for line, what in found)


def opening(file: Path, name: str) -> list[Finding]:
    """Return the breaches in a test module or a script, where length is free."""
    source = file.read_text()
    found = [*_openings(ast.parse(source)), *_nameless(source)]
    return sorted(Finding(name, line, what) for line, what in found)


def nameless(file: Path, name: str) -> list[Finding]:
    """Return each word in a text file that hides the actor."""
    return [Finding(name, line, what) for line, what in _nameless(file.read_text())]


def _lengths(source: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    lines = source.count("\n")
    if lines > LONGEST_FILE:
        yield LONGEST_FILE + 1, f"the file is {lines} lines long: {LONGEST_FILE} at most"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = _body_length(source.splitlines(), node)
            if length > LONGEST_FUNCTION:
                yield node.lineno, f"{node.name} is {length} lines long: {LONGEST_FUNCTION} at most"


def _body_length(lines: list[str], function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of the body without signature, docstring, comments and blank lines."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body:
        return 0
    texts = (line.strip() for line in lines[body[0].lineno - 1 : body[-1].end_lineno])
    return sum(1 for text in texts if text and not text.startswith("#"))


def _openings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        words = ast.get_docstring(node) if isinstance(node, Documented) else None
        if words is not None and (opening := _OPENING.match(words)):
            line = 1 if isinstance(node, ast.Module) else getattr(node, "lineno", 1)
            yield line, f"the docstring opens with {opening[0]!r}: name the thing instead"
        for words, line in _documented_values(getattr(node, "body", None)):
            if opening := _OPENING.match(words):
                yield line, f"the docstring of a value opens with {opening[0]!r}: name the thing instead"


def _documented_values(body: object) -> Iterator[tuple[str, int]]:
    """Yield the text and line of each string that stands below an assignment and documents it."""
    statements = body if isinstance(body, list) else []
    for before, after in pairwise(statements):
        value = after.value if isinstance(after, ast.Expr) else None
        is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
        if isinstance(before, ast.Assign | ast.AnnAssign) and is_text:
            yield value.value, after.lineno


def _nameless(source: str) -> Iterator[tuple[int, str]]:
    """Yield each word that hides the actor, wherever it stands: in texts, comments and names."""
    for line, text in enumerate(source.splitlines(), start=1):
        for word in _NAMELESS.findall(text):
            yield line, f"{word!r} hides the actor: name client, holder, proxy, operator or attacker"
