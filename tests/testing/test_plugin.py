"""The pytest plugin in projects of others: what it offers, and what it costs where it is not used."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

SHOP = """
from flask import Flask
from macaroon_cbat.resource import Guard

def create_app(keys):
    app = Flask("shop")
    guard = Guard(app, keys=keys)
    app.add_url_rule("/invoices", "invoices", guard.require("read")(lambda: "in"))
    return app
"""

USING = """
import pytest
from shop import create_app

@pytest.fixture
def client(macaroon_keys):
    return create_app(macaroon_keys).test_client()

def test_a_reader_sees_invoices(client, macaroon_holder):
    assert client.get("/invoices", **macaroon_holder.flask("read")).status_code == 200

def test_a_stolen_token_is_worthless(client, macaroon_holder, macaroon_thief):
    stolen = macaroon_holder.token("read")
    assert client.get("/invoices", **macaroon_thief.flask(token=stolen)).status_code == 401

def test_a_key_file(macaroon_key_file, macaroon_holder):
    client = create_app(str(macaroon_key_file)).test_client()
    assert client.get("/invoices", **macaroon_holder.flask("read")).status_code == 200
"""

OVERRIDING = """
import pytest

@pytest.fixture(scope="session")
def macaroon_audience():
    return "https://shop.example"

def test_the_audience_is_the_project_s(macaroon_keys, macaroon_holder):
    assert macaroon_keys.audience == "https://shop.example"
    assert macaroon_holder.principal("read").audience == "https://shop.example"
"""

NOT_USING = """
import sys

HEAVY = {
    "cryptography", "nacl", "pymacaroons", "flask", "werkzeug", "django", "starlette", "fastapi", "httpx",
    "requests", "sqlalchemy", "macaroon_cbat.macaroon", "macaroon_cbat.certificate", "macaroon_cbat.resource",
}

def test_nothing_heavy_is_loaded():
    assert "macaroon_cbat.testing.plugin" in sys.modules
    assert HEAVY.isdisjoint(sys.modules)

def holder():
    return 1
"""


OTHERS = ("anyio", "hypothesispytest", "schemathesis", "timeout", "xdist", "xdist.looponfail")
"""The plugins of other packages, which these tests need not load."""


def pytest_in(
    folder: Path, *arguments: str, without: tuple[str, ...] = OTHERS, **files: str
) -> subprocess.CompletedProcess[str]:
    """Run pytest in a project of these files, as its own people do: the plugin is found by itself."""
    for name, content in files.items():
        (folder / f"{name}.py").write_text(content)
    left_out = [word for name in ("cacheprovider", *without) for word in ("-p", f"no:{name}")]
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", *left_out, *arguments]
    environ = {**os.environ, "PYTHONPATH": str(folder)} | {"PYTEST_ADDOPTS": ""}
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def test_the_plugin_is_found_after_an_install():
    """The package names its plugin where pytest looks for plugins."""
    [found] = entry_points(group="pytest11", name="macaroon_cbat")
    assert found.value == "macaroon_cbat.testing.plugin"


@pytest.mark.parametrize(
    ("content", "passed"), [(USING, 3), (OVERRIDING, 1), (NOT_USING, 1)], ids=["used", "overridden", "unused"]
)
def test_a_project_of_others(tmp_path: Path, content: str, passed: int):
    """A project uses the fixtures by name, overrides them, or pays nothing for them."""
    done = pytest_in(tmp_path, shop=SHOP, test_shop=content)
    assert f"{passed} passed" in done.stdout, done.stdout + done.stderr


BESIDE = (
    USING
    + """
@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_in_an_event_loop(client, macaroon_holder, anyio_backend):
    assert client.get("/invoices", **macaroon_holder.flask("read")).status_code == 200

from hypothesis import HealthCheck, given, settings, strategies
@settings(max_examples=2, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.sampled_from(["read", "read write"]))
def test_examples(client, macaroon_holder, scope):
    assert client.get("/invoices", **macaroon_holder.flask(scope)).status_code == 200

@pytest.mark.timeout(600)
def test_each_is_there(request):
    names = ("macaroon_cbat", "anyio", "hypothesispytest", "timeout", "xdist")
    assert all(map(request.config.pluginmanager.has_plugin, names))
    assert hasattr(request.config, "workerinput")
"""
)


def test_a_project_that_has_other_plugins_as_well(tmp_path: Path):
    """The fixtures serve tests that anyio, hypothesis, timeout and xdist run."""
    done = pytest_in(tmp_path, "-n", "1", without=(), shop=SHOP, test_shop=BESIDE)
    assert "6 passed" in done.stdout, done.stdout + done.stderr


def test_the_fixtures_explain_themselves(tmp_path: Path):
    """`pytest --fixtures` says of each what it returns; all begin with the package's word."""
    done = pytest_in(tmp_path, "--fixtures", test_shop=USING)
    listed = [line for line in done.stdout.splitlines() if "macaroon_cbat/testing/plugin.py" in line]
    assert {line.split()[0] for line in listed} == {
        "macaroon_audience",
        "macaroon_holder",
        "macaroon_key_file",
        "macaroon_keys",
        "macaroon_thief",
    }
    assert "Return a holder of tokens" in done.stdout


def test_it_can_be_left_out(tmp_path: Path):
    """A project may leave the plugin out by its name."""
    done = pytest_in(tmp_path, "-p", "no:macaroon_cbat", test_shop="def test_1(macaroon_keys): ...")
    assert "fixture 'macaroon_keys' not found" in done.stdout
