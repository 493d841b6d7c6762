"""The abilities of a plain installation, and its messages about extras that it lacks."""

import ast
import json
from pathlib import Path

import pytest

from macaroon_cbat.errors.extras import MissingExtra, extra, require
from tests.support.installations import EXTRAS, PROJECT, ROOT, foreign_modules, json_of, run_with

PACKAGE = ROOT / "macaroon_cbat"
OUTCOMES = """
import json, os
from importlib import import_module
def outcomes():
    found = {}
    for module in json.loads(sys.argv[1]):  # packages before what is in them, as the import does it
        if (package := module.rpartition(".")[0]) in found:
            found[module] = found[package]
            continue
        try:
            import_module(module)
        except Exception as error:
            found[module] = str(error) if type(error).__name__ == "MissingExtra" else repr(error)
    return found
found = {"": outcomes()}
for name, hidden in json.loads(sys.argv[2]).items():
    reading, writing = os.pipe()
    if os.fork() == 0:
        Finder.hidden = frozenset(hidden)
        for name in [name for name in sys.modules if name.partition(".")[0] == "macaroon_cbat"]:
            del sys.modules[name]
        os.write(writing, json.dumps(outcomes()).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as file:
        found[name] = json.load(file)
    assert os.wait()[1] == 0
print(json.dumps(found))
"""
"""The words of each module with the given extras, and with others besides.

The others find the libraries of the given ones imported already, and no module of the package, which may
import otherwise where an extra is installed.
"""
LOADED = "import json; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
ONE_EXTRA = [name for name in EXTRAS if name != "all"]


def modules() -> list[str]:
    """Return the name of every module of the package but the migrations, which Alembic runs."""
    files = (file.relative_to(ROOT).with_suffix("") for file in sorted(PACKAGE.rglob("*.py")))
    names = (".".join(file.parts).removesuffix(".__init__") for file in files)
    aside = ("__main__", ".testing.plugin")  # pytest itself loads the plugin
    return [name for name in names if ".migrations" not in name and not name.endswith(aside)]


@pytest.fixture(scope="module")
def lacking() -> dict[str, dict[str, str]]:
    """Return what each module says that cannot be imported with one extra alone, by the name of the extra.

    The name of a plain installation is empty.
    """
    hidden = {name: sorted(foreign_modules([name])) for name in ONE_EXTRA}
    found: dict[str, dict[str, str]] = json_of([], OUTCOMES, json.dumps(modules()), json.dumps(hidden))
    return found


@pytest.fixture
def plain(lacking) -> dict[str, str]:
    """Return what each module says that a plain installation cannot import."""
    return lacking[""]


def named(message: str) -> str | None:
    """Return the extra that a message tells to install."""
    return message.rpartition("macaroon_cbat[")[2].removesuffix("]'") if "[" in message else None


@pytest.mark.parametrize("installed", ["", *ONE_EXTRA], ids=lambda name: name or "plain")
def test_each_module_is_importable_or_names_an_extra_that_is_not_installed(installed, lacking):
    """A module whose libraries are missing says in one line which extra has them."""
    found = lacking[installed]
    assert {module: text for module, text in found.items() if named(text) not in EXTRAS} == {}
    assert {module: text for module, text in found.items() if named(text) == installed} == {}


def test_all_has_everything():
    """Every module but that of [envoy] can be imported after `pip install 'macaroon_cbat[all]'`."""
    listed = json.dumps(modules())
    assert set(json_of(["all"], OUTCOMES, listed, "{}")[""]) == {"macaroon_cbat.gateway.envoy_grpc"}
    assert json_of(["all", "envoy"], OUTCOMES, listed, "{}") == {"": {}}


@pytest.mark.parametrize(
    "module",
    [
        "macaroon_cbat",
        "macaroon_cbat.client",
        "macaroon_cbat.resource",
        "macaroon_cbat.resource.wsgi",
        "macaroon_cbat.resource.asgi",
        "macaroon_cbat.resource.feeds.revocation_feed",
        "macaroon_cbat.resource.introspection",
        "macaroon_cbat.cli.token",
        "macaroon_cbat.cli.thumbprint",
    ],
)
def test_a_plain_installation_has(module, plain):
    """Minting, attenuating and verifying, a guard of plain WSGI or ASGI included, need no extra."""
    assert module not in plain


@pytest.mark.parametrize("module", ["macaroon_cbat", "macaroon_cbat.client", "macaroon_cbat.resource.wsgi"])
def test_imports_load_no_library_of_an_extra(module):
    """An import that needs no extra loads no library of one, even when every extra is installed."""
    loaded, by_libraries = (set(json_of(["all"], code + LOADED)) for code in (f"import {module}\n", ""))
    assert foreign_modules() & loaded - by_libraries == set()


@pytest.mark.parametrize(
    ("module", "needed"),
    [
        ("resource.flask", "flask"),
        ("resource.starlette", "starlette"),
        ("resource.fastapi", "fastapi"),
        ("resource.django", "django"),
        ("client.requests", "requests"),
        ("client.httpx", "httpx"),
        ("gateway.supervisor", "gateway"),
        ("proxy_config", "gateway"),
        ("service", "service"),
        ("stores", "service"),
        ("tls", "tls"),
    ],
)
def test_what_needs_an_extra_names_it(module, needed, plain):
    """Importing a part whose extra is not installed is an ImportError that says how to install it."""
    assert plain[f"macaroon_cbat.{module}"].endswith(f"): pip install 'macaroon_cbat[{needed}]'")


def test_a_token_client_needs_no_extra():
    """A client of the service stands on the standard library: it can be made, and asks the service."""
    code = (
        "from macaroon_cbat.client import TokenClient\n"
        "TokenClient(issuer='https://localhost:1', client_id='a', client_secret='s')()"
    )
    assert "Unavailable: no answer from https://localhost:1/" in run_with([], code).stderr


def test_the_outermost_extra_is_named():
    """MissingExtra names the extra of what the caller imports, not one of what that is made of."""
    with (
        pytest.raises(MissingExtra, match=r"macaroon_cbat\[outer\]") as caught,
        extra("outer"),
        extra("inner"),
    ):
        import no_such_library.at_all  # noqa: F401
    assert caught.value.name == "no_such_library"


@pytest.mark.parametrize(
    "statement", ["import macaroon_cbat.no_such_module", "from json import no_such_name"]
)
def test_other_import_errors_pass(statement):
    """An error of our own, or a library that lacks a name, is not called a missing extra."""
    with pytest.raises(ImportError) as caught, extra("flask"):
        exec(statement)
    assert not isinstance(caught.value, MissingExtra)


def test_what_is_installed_is_not_required_twice():
    """Requiring modules that are there does nothing."""
    require("json", "json", "email")


def _named_in(file: Path) -> set[str]:
    calls = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))
    return {
        call.args[0].value
        for call in calls
        if getattr(call.func, "id", "") in {"extra", "require"}
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }


def test_every_extra_that_the_code_names_exists():
    """A message sends no one to an extra that `pip` does not know."""
    files = [file for file in PACKAGE.rglob("*.py") if "errors.extras import" in file.read_text()]
    assert set().union(*map(_named_in, files)) <= set(PROJECT["optional-dependencies"])
