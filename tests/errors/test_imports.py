"""The imports of each module: in whichever order modules are imported, and with nothing imported before."""

import json
import subprocess
from graphlib import TopologicalSorter

from tests.support.command_line import (
    API,
    COMMAND,
    ISSUER,
    KEY_FILE,
    environment,
    token,
    with_database,
)
from tests.support.module_imports import imported_at_once, texts, used_but_not_imported
from tests.support.tls_servers import make_client


def test_no_module_is_imported_by_what_it_imports():
    """Any module can be imported first: none meets another that is half imported."""
    modules = texts()
    order = TopologicalSorter({name: imported_at_once(name, text, modules) for name, text in modules.items()})
    assert {*order.static_order()} == {*modules}  # a CycleError names the modules of a circle


def test_each_module_imports_what_it_uses():
    """A module below a package is imported where it is used, whatever others may have imported."""
    missing = {name: used_but_not_imported(text) for name, text in texts().items()}
    assert {name: modules for name, modules in missing.items() if modules} == {}


def cold(*words, stdin=""):
    """Run a command in an interpreter that has imported nothing; return its output."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        input=stdin, capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_commands_that_need_no_service_run_cold(tmp_path):
    """Tokens are restricted, shown and verified, and a certificate and a proxy's lines are printed."""
    keys, certificate = tmp_path / "keys.json", make_client(tmp_path, "billing").file
    keys.write_bytes(KEY_FILE)
    bound = cold("token", "attenuate", "--cert", certificate, stdin=token())
    assert json.loads(cold("token", "inspect", "--json", stdin=bound))["location"] == ISSUER
    asked = ("--keys", keys, "--audience", API, "--cert", certificate)
    assert "billing" in cold("token", "verify", "--json", *asked, stdin=bound)
    assert len(cold("thumbprint", certificate).strip()) == 43
    assert "ssl_verify_client" in cold("proxy-config", "nginx", "--upstream", "127.0.0.1:1", "--cert", "/a")


def test_commands_on_the_database_run_cold(tmp_path):
    """A client is added and listed, and the keys of an audience are exported."""
    data = ("--data", with_database(tmp_path / "data"))
    cold("client", "add", "billing", "--scope", "read", "--audience", API, *data)
    assert "billing" in cold("client", "list", *data)
    assert json.loads(cold("key", "export", "--audience", API, *data))["audience"] == API
