"""The public names of packages that import them at their first use."""

import ast
import importlib
from pathlib import Path
from types import ModuleType

import pytest

import macaroon_cbat
import macaroon_cbat.resource
import macaroon_cbat.testing

AROUND = {"TYPE_CHECKING", "at_first_use", "guard_logs"}
PACKAGES = [macaroon_cbat, macaroon_cbat.resource, macaroon_cbat.testing]


def named_for_type_checkers(package):
    """Return each name that a type checker sees, and the module that it comes from."""
    [block] = [
        node for node in ast.parse(Path(package.__file__).read_text()).body if isinstance(node, ast.If)
    ]
    return {alias.asname: f"{node.module}" for node in block.body for alias in node.names}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_type_checkers_and_python_see_the_same(package):
    """Each name that a type checker sees is there, from the same module, and no other."""
    named = named_for_type_checkers(package)
    found = {name: getattr(package, name) for name in named}
    assert found == {name: getattr(importlib.import_module(module), name) for name, module in named.items()}
    modules = {name for name, value in vars(package).items() if isinstance(value, ModuleType)}
    assert {name for name in dir(package) if not name.startswith("_")} - modules - AROUND == set(named)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_an_unknown_name_is_no_attribute(package):
    """A misspelt name is an AttributeError, and an ImportError where it is imported."""
    with pytest.raises(AttributeError, match="has no attribute 'mnit'"):
        package.mnit  # noqa: B018 # the attribute is the matter


def test_public_names_are_listed():
    """Completion finds the public names before any was used."""
    assert {"mint", "verify", "Principal"} <= set(dir(macaroon_cbat))
