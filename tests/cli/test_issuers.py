"""`--issuer` of every command: a slash at its end is forgiven, and each mistake has its own line."""

from pathlib import Path

import pytest

from tests.support.command_line import call, complaint, out

COMMANDS = {
    "serve": ("serve", "--data", "{folder}/data"),
    "token mint": ("token", "mint", "--client-id", "x", "--client-secret", "y"),
    "client list": ("client", "list", "--client-id", "x", "--cert", "{folder}/c.pem"),
    "revocation list": ("revocation", "list", "--client-id", "x", "--cert", "{folder}/c.pem"),
    "proxy-config": (
        *("proxy-config", "apache", "--upstream", "127.0.0.1:1", "--cert", "/c.pem", "--client-id", "x"),
        *("--client-secret-file", "{folder}/secret", "--scope", "read"),
    ),
}
MISTAKES = {
    "http://as.example": "does not begin with https://",
    "as.example": "does not begin with https://",
    "https://b\u00fccher.example": "xn--bcher-kva.example",
    "https://as.example/?x": "a query or a fragment",
    "https://as.example:99999": "65535",
    "https://user@as.example": "leave out what stands before the @",
    "https://as.example/a//b": "single slashes",
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize(("issuer", "advice"), MISTAKES.items(), ids=MISTAKES)
def test_each_mistake_has_its_own_line(tmp_path: Path, command: tuple[str, ...], issuer: str, advice: str):
    """A wrong issuer ends a command with one line that names the option, the value and what to do."""
    (tmp_path / "secret").write_text("a-secret-of-these-tests")
    (tmp_path / "secret").chmod(0o600)
    arguments = [argument.format(folder=tmp_path) for argument in command]
    message = complaint(call(*arguments, "--issuer", issuer), 2)
    assert "--issuer" in message
    assert advice in message


@pytest.mark.parametrize(
    "issuer", ["https://auth_server:8443", "https://as.example/auth", "https://xn--a-ecp.example"]
)
def test_a_slash_at_the_end_is_forgiven(tmp_path: Path, issuer: str):
    """An underscore in a host, a path and one slash too many make no mistake."""
    (tmp_path / "secret").write_text("a-secret-of-these-tests")
    (tmp_path / "secret").chmod(0o600)
    arguments = [argument.format(folder=tmp_path) for argument in COMMANDS["proxy-config"]]
    (tmp_path / "out").mkdir()
    out(*arguments, "--output", tmp_path / "out", "--issuer", issuer + "/")
    assert f" {issuer}/oauth2/introspect " in (tmp_path / "out" / "httpd.conf").read_text()
