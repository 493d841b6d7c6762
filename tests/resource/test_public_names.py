"""The names that `macaroon_cbat.resource` offers."""

import ast
import inspect
from importlib import import_module

import pytest

from macaroon_cbat import resource

SEEN = [
    (alias.name, f"{node.module}")
    for node in ast.walk(ast.parse(inspect.getsource(resource)))
    if isinstance(node, ast.ImportFrom) and f"{node.module}".startswith("macaroon_cbat.")
    for alias in node.names
]


@pytest.mark.parametrize(("name", "module"), SEEN, ids=[name for name, _ in SEEN])
def test_a_name_is_what_type_checkers_see(name: str, module: str):
    """Each name is loaded from the module from which type checkers read it."""
    assert getattr(resource, name) is getattr(import_module(module), name)


def test_no_name_is_hidden_from_type_checkers():
    """Type checkers know every name that the package loads when it is first used."""
    assert {name for name, _ in SEEN} == set(resource._MODULE_OF)
    assert {name for name, _ in SEEN} <= set(dir(resource))


def test_a_name_that_is_none():
    """Any other name is an AttributeError, as in every module."""
    with pytest.raises(AttributeError, match="no attribute 'Gard'"):
        resource.Gard  # noqa: B018
