"""Public names of a package that are imported at their first use (PEP 562)."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def at_first_use(
    package: str, names: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and `__all__` of a package whose names are imported at their first use.

    `names` has the names of each module, with a space between two; modules are relative to the package.
    `__getattr__` raises AttributeError for another name, and MissingExtra without the extra that it needs.
    """
    module_of = {name: module for module, several in names.items() for name in several.split()}

    def get(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = getattr(import_module(f"{package}.{module_of[name]}"), name)
        setattr(import_module(package), name, found)  # the next use does not come here
        return found

    def listed() -> list[str]:
        return sorted({*vars(import_module(package)), *module_of})

    return get, listed, sorted(module_of)
