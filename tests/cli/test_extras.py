"""The command line of an installation without extras."""

import json

import pytest

from macaroon_cbat.cli.commands import main
from macaroon_cbat.files import replace_file
from macaroon_cbat.macaroon.keys import write_key_file
from tests.support.command_line import API, token
from tests.support.installations import foreign_modules, json_of, run_with
from tests.support.tokens import KEYS

RUN = "from macaroon_cbat.cli import main\nmain(prog_name='macaroon-cbat')"
TOPS = "sorted({name.partition('.')[0] for name in sys.modules})"
OFFLINE = f"""
import atexit, json
atexit.register(lambda: print(json.dumps({TOPS}), file=sys.stderr))
{RUN}
"""
POLICY = """
audience = "https://api.example"
keys = "keys.json"
[proxy]
kind = "envoy"
trust = ["unix", "127.0.0.1/32"]
[[rule]]
path = "/"
public = true
"""
USES = """
import json
from click.testing import CliRunner
from macaroon_cbat.cli import main
done = [CliRunner().invoke(main, json.loads(words), prog_name="macaroon-cbat") for words in sys.argv[1:]]
print(json.dumps([(one.exit_code, one.stderr) for one in done]))
"""
ARGUMENTS = [[], ["--help"], ["x", "--data", "d"]]
LACKING = {
    "client": "service",
    "database": "service",
    "key": "service",
    "proxy-config": "gateway",
    "revocation": "service",
    "revoke": "service",
    "serve": "service",
}


@pytest.fixture(scope="module")
def uses() -> dict[str, tuple[int, str]]:
    """Return the status and the errors of each use of a command that is not installed."""
    words = [[command, *arguments] for command in LACKING for arguments in ARGUMENTS]
    lines = json_of([], USES, *map(json.dumps, words))
    return dict(zip(map(" ".join, words), lines, strict=True))


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=" ".join)
@pytest.mark.parametrize("command", LACKING)
def test_a_command_without_its_extra_is_one_line(command, arguments, uses):
    """A command that is not installed ends with status 2 and the one line that says how to install it."""
    status, errors = uses[" ".join([command, *arguments])]
    [line] = errors.splitlines()
    assert status == 2
    assert line.startswith(f"Error: the extra '{LACKING[command]}' is not installed (no module '")
    assert line.endswith(f"'): pip install 'macaroon_cbat[{LACKING[command]}]'")


def test_help_lists_what_is_not_installed():
    """The list of commands names every command, and how to install those that are not there."""
    done = run_with([], RUN, "--help")
    listed = " ".join(done.stdout.split())
    assert done.returncode == 0
    assert [name for name in main.list_commands(None) if f" {name} " not in listed] == []
    assert listed.count("Not installed: pip install 'macaroon_cbat[service]'") == 11


def test_a_gateway_without_its_extra_is_one_line(tmp_path):
    """A gateway whose libraries are missing says so before it reads its policy file."""
    policy = tmp_path / "policy.toml"
    policy.write_text("")
    done = run_with([], RUN, "gateway", str(policy))
    assert done.returncode == 2
    assert done.stderr.endswith("pip install 'macaroon_cbat[gateway]'\n")


@pytest.mark.parametrize(
    ("member", "extra"), [("metrics", "metrics"), ("grpc", "envoy")], ids=["metrics", "envoy"]
)
@pytest.mark.parametrize("option", [[], ["--check"]], ids=["started", "checked"])
def test_a_policy_whose_extra_is_missing_is_one_line(tmp_path, option, member, extra):
    """A gateway that could not start for want of an extra is refused by `--check` as well."""
    policy = tmp_path / "policy.toml"
    policy.write_text(f"{POLICY}[listen]\nhttp = 'unix:gateway.sock'\n{member} = '127.0.0.1:9100'\n")
    replace_file(tmp_path / "keys.json", [write_key_file(KEYS)])
    done = run_with(["gateway"], RUN, "gateway", *option, str(policy))
    assert done.returncode != 0
    assert done.stderr.startswith(f"Error: the extra '{extra}' is not installed")
    assert len(done.stderr.splitlines()) == 1


def test_minting_needs_no_extra():
    """`token mint` asks the service with the standard library, in an installation without extras."""
    issuer = ["--issuer", "https://127.0.0.1:9", "--client-id", "c", "--client-secret", "s"]
    done = run_with([], RUN, "token", "mint", *issuer)
    assert done.returncode == 1
    assert "no server listens at 127.0.0.1:9" in done.stderr


@pytest.mark.parametrize("extras", [[], ["all"]], ids=["plain", "all"])
@pytest.mark.parametrize(
    "command",
    ["token attenuate {file} --cert {cert} --expires-in 60", "token inspect {file}", "thumbprint {cert}",
     "token verify {file} --keys {keys} --audience {api} --allow-unbound"],
)  # fmt: skip
def test_offline_commands_load_no_library_of_an_extra(command, extras, keys, certificate, tmp_path):
    """A command that needs no service needs no extra, and loads no library of one that is installed."""
    (tmp_path / "token").write_text(token())
    words = [
        word.format(file=tmp_path / "token", cert=certificate, keys=keys, api=API) for word in command.split()
    ]
    done = run_with(extras, OFFLINE, *words)
    assert done.returncode == 0
    assert foreign_modules() & set(json.loads(done.stderr.splitlines()[-1])) <= {"typing_extensions"}
