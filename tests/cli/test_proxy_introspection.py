"""`proxy-config apache --issuer`: Apache asks the service itself, by mod_oauth2."""

from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.proxy_config import PROXIES, ProxyIntrospection
from tests.support.proxy_config import GATEWAY, generate, texts

SECRET = "kBq1Zf8mQ-vT2Yw5h7Rs"
SETTINGS = {"issuer": "https://auth.example", "client_id": "gate", "client_secret": SECRET, "scope": "read"}


@pytest.fixture
def options(tmp_path: Path) -> dict[str, str]:
    """Return the options that go together."""
    file = tmp_path / "gate.secret"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o600)
    shown = {name: value for name, value in SETTINGS.items() if name != "client_secret"}
    return {**shown, "client_secret_file": str(file)}


def test_it_compares_certificates_and_remembers_nothing(options: dict[str, str], tmp_path: Path) -> None:
    """Without more options a bound token is required, its certificate compared, and no answer remembered."""
    (tmp_path / "out").mkdir()
    text = texts("apache", tmp_path / "out", **options)
    [line] = [line for line in text.splitlines() if "OAuth2TokenVerify" in line]
    endpoint, _, form = line.partition("OAuth2TokenVerify introspect ")[2].partition(" ")
    assert endpoint == "https://auth.example/oauth2/introspect"
    said = dict(pair.split("=") for pair in form.split("&"))
    assert (said["type"], said["mtls.policy"], said["expiry"]) == ("mtls", "required", "0")
    assert (said["client_id"], said["client_secret"]) == ("gate", SECRET)
    assert text.count("THE ") == 1
    assert "SSL_CLIENT_CERT" not in text


def test_its_file_is_private(options: dict[str, str], tmp_path: Path) -> None:
    """The file with the client's secret is readable by its owner alone."""
    (tmp_path / "out").mkdir()
    texts("apache", tmp_path / "out", **options)
    assert (tmp_path / "out/httpd.conf").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("missing", ["issuer", "client_id", "client_secret_file", "scope"])
def test_four_options_go_together(options: dict[str, str], missing: str) -> None:
    """One of the four alone, or three of them, is an error, and never an Apache that lets all in."""
    alone = {missing: options.pop(missing)}
    for some in (options, alone):
        done = generate("apache", **some)
        assert done.exit_code == 2
        assert "go together" in done.output


@pytest.mark.parametrize("proxy", sorted(set(PROXIES) - {"apache"}))
def test_other_proxies_ask_a_gateway(proxy: str, options: dict[str, str]) -> None:
    """A proxy that does not introspect says so."""
    done = generate(proxy, "--output", "/tmp", **options)
    assert (done.exit_code, "does not introspect" in done.output) == (2, True)


def test_apache_has_no_gateway_beside_it(options: dict[str, str]) -> None:
    """Apache introspects in place of a gateway, not beside one."""
    assert generate("apache", *GATEWAY, **options).exit_code == 2


@pytest.mark.parametrize("seconds", ["-1", "31", "3600"])
def test_an_answer_is_remembered_for_half_a_minute_at_most(options: dict[str, str], seconds: str) -> None:
    """A cache that would keep a revoked token alive for long is refused."""
    done = generate("apache", cache_seconds=seconds, **options)
    assert (done.exit_code, "--cache-seconds" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("issuer", "http://auth.example"),
        ("issuer", "https://auth.example/"),
        ("issuer", "https://auth.example?x=1"),
        ("issuer", "https://auth.example/a b"),
        ("issuer", "https://user@auth.example"),
        ("issuer", "https://auth.example&type=bearer"),
        ("issuer", "https://auth.example\n"),
        ("issuer", "https://auth.example%0a"),
        ("client_id", "gate&type=bearer"),
        ("client_id", "gate x"),
        ("client_id", ""),
        ("client_secret", "short"),
        ("client_secret", SECRET + "&type=bearer"),
        ("client_secret", SECRET + "\nRequire all granted"),
        ("scope", ""),
        ("scope", "  "),
        ("scope", "read#"),
        ("scope", "re.*|x"),
        ("scope", 'read"'),
        ("scope", "read\\"),
    ],
)
def test_no_value_is_syntax(name: str, value: str) -> None:
    """A value that Apache, a form or a pattern would read as something else is refused."""
    with pytest.raises(SettingsError):
        ProxyIntrospection(**(SETTINGS | {name: value}))  # type: ignore[arg-type] # all of them are texts


def test_a_point_in_a_scope_is_a_point() -> None:
    """A scope is compared as text: nothing in it is a pattern."""
    patterns = ProxyIntrospection(**(SETTINGS | {"scope": "api.read  write api.read"})).scope_patterns  # type: ignore[arg-type]
    assert patterns == ["(^| )api[.]read( |$)", "(^| )write( |$)"]


def test_its_secret_does_not_print() -> None:
    """The settings show who asks whom, never the secret."""
    assert SECRET not in repr(ProxyIntrospection(**SETTINGS))  # type: ignore[arg-type]
