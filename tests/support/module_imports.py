"""The imports of each module of the package, as they stand in its text.

The tests import every module in one process, where another has imported already what a module forgot.
"""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
WITH_THE_OTHER = {"os.path", "msgspec.json", "msgspec.structs"}
"""The modules below others that are there, by their documentation, once the other is imported."""


def texts() -> dict[str, str]:
    """Return the text of every module of the package, by its name."""
    files = sorted((ROOT / "macaroon_cbat").rglob("*.py"))
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file.read_text()
        for file in files
    }


def imported_at_once(module: str, text: str, modules: Iterable[str]) -> set[str]:
    """Return which of the modules a module imports while it is imported itself.

    To import one is to import the packages around it, of which those around the module are there already.
    """
    there, found = set(modules), set()
    for statement in _imports(ast.parse(text), is_at_once=True):
        named = _named(statement)
        for name in {around for each in named for around in _around(each)}:
            if name in there - {module} and (name in named or not f"{module}.".startswith(f"{name}.")):
                found.add(name)
    return found


def used_but_not_imported(text: str) -> set[str]:
    """Return the modules that a text uses as attributes of packages, and does not import."""
    tree = ast.parse(text)
    bound, imported = dict[str, str](), set(WITH_THE_OTHER)
    for statement in _imports(tree):
        imported |= {around for name in _named(statement) for around in _around(name)}
        bound |= _bound(statement)
    chains = (_chain(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    used = {(bound[chain[0]], *chain[1:]) for chain in chains if chain and chain[0] in bound}
    return {name for chain in used for name in _modules_in(chain)} - imported


def _imports(node: ast.AST, *, is_at_once: bool = False) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports below a node that are run; at once: but for those of functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        elif not (is_at_once and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield from _imports(child, is_at_once=is_at_once)


def _named(statement: ast.Import | ast.ImportFrom) -> list[str]:
    names = [alias.name for alias in statement.names]
    if isinstance(statement, ast.Import):
        return names
    assert statement.module is not None
    assert statement.level == 0
    return [statement.module, *(f"{statement.module}.{name}" for name in names)]


def _bound(statement: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """Return what each name stands for after the import."""
    if isinstance(statement, ast.ImportFrom):
        return {alias.asname or alias.name: f"{statement.module}.{alias.name}" for alias in statement.names}
    firsts = [alias.name.partition(".")[0] for alias in statement.names if not alias.asname]
    return {alias.asname: alias.name for alias in statement.names if alias.asname} | dict(
        zip(firsts, firsts, strict=True)
    )


def _around(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: number + 1]) for number in range(len(parts))]


def _chain(node: ast.expr) -> tuple[str, ...]:
    """Return the words of `a.b.c`; none of other expressions."""
    if isinstance(node, ast.Attribute):
        before = _chain(node.value)
        return (*before, node.attr) if before else ()
    return (node.id,) if isinstance(node, ast.Name) else ()


def _modules_in(chain: tuple[str, ...]) -> Iterator[str]:
    """Yield the modules that the words lead to, below the first."""
    name = chain[0]
    for word in chain[1:]:
        name = f"{name}.{word}"
        if _spec(name) is None:
            return
        yield name


@cache
def _spec(name: str) -> ModuleSpec | None:
    """Return where a module is; neither it nor a package around it is imported."""
    package, _, _ = name.rpartition(".")
    if not package:
        return find_spec(name)
    around = _spec(package)
    if around is None or around.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(name, [*around.submodule_search_locations])
