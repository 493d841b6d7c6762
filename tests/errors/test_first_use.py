"""The public names of packages that import them at their first use."""

import ast
import importlib
from pathlib import Path

import pytest

import macaroon_cbat
import macaroon_cbat.resource
import macaroon_cbat.testing
from tests.support.installations import run_with

AROUND = {"TYPE_CHECKING", "at_first_use", "guard_logs"}
PACKAGES = [macaroon_cbat, macaroon_cbat.resource, macaroon_cbat.testing]


def named_for_type_checkers(package):
    """Return each name that a type checker sees, and the module that it comes from."""
    [block] = [
        node for node in ast.parse(Path(package.__file__).read_text()).body if isinstance(node, ast.If)
    ]
    return {alias.asname: f"{node.module}" for node in block.body for alias in node.names}


def printed_by(code):
    """Return the words that a fresh interpreter prints, which runs the code to its end."""
    done = run_with(["all"], code)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def not_loaded_yet(package):
    """Return the names that a fresh interpreter shows and has not loaded."""
    code = f"import {package.__name__} as it; print(*set(dir(it)) - set(vars(it)))"
    return printed_by(code)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_type_checkers_and_python_see_the_same(package):
    """Each name that a type checker sees is there, from the same module, and no other."""
    named = named_for_type_checkers(package)
    assert set(named) == not_loaded_yet(package)
    for name, module in named.items():
        assert getattr(package, name) is getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_an_unknown_name_is_no_attribute(package):
    """A misspelt name is an AttributeError, and an ImportError where it is imported."""
    with pytest.raises(AttributeError, match="has no attribute 'mnit'"):
        package.mnit  # noqa: B018 # the attribute is the matter


def test_public_names_are_listed():
    """Completion finds the public names before any was used."""
    assert {"mint", "verify", "Principal"} <= set(dir(macaroon_cbat))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_a_star_imports_every_public_name(package):
    """`from PACKAGE import *` gives the names that are not loaded yet, too."""
    code = f"from {package.__name__} import *\nprint(*set(dir()))"
    assert set(named_for_type_checkers(package)) <= printed_by(code)
