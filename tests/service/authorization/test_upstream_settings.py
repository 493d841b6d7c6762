"""The settings of the upstream provider: whole, plain, and never half meant."""

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service.settings import settings_from_environment
from macaroon_cbat.service.upstream_settings import UpstreamSettings

PREFIX = "MACAROON_CBAT_"
WHOLE = {"UPSTREAM_ISSUER": "https://login.example", "UPSTREAM_CLIENT_ID": "macaroon-service"}


def read(tmp_path, **changes: str) -> UpstreamSettings:
    """Return the settings that these variables make."""
    given = {PREFIX + name: value for name, value in changes.items()}
    return settings_from_environment(given, data=tmp_path).people


def test_without_settings_people_cannot_log_in(tmp_path):
    """A service whose operator names no provider lets no person log in."""
    assert not read(tmp_path).is_on


def test_a_provider_needs_issuer_and_client(tmp_path):
    """Issuer and client_id make a provider; the rest has defaults."""
    settings = read(tmp_path, **WHOLE)
    assert settings.is_on
    assert settings.secret() is None
    assert (settings.upstream_scopes, settings.upstream_subject) == ("openid profile", "sub")
    assert (settings.session_idle, settings.session_lifetime) == (1800, 28_800)


def test_the_secret_is_read_from_its_file_and_not_shown(tmp_path):
    """The secret may stand in a private file, and no settings show it."""
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    settings = read(tmp_path, **WHOLE, UPSTREAM_CLIENT_SECRET_FILE=str(file))
    assert settings.secret() == "s3cret"
    assert "s3cret" not in repr(UpstreamSettings(
        upstream_issuer="https://a.example", upstream_client_id="x", upstream_client_secret="s3cret"
    ))  # fmt: skip


def test_a_secret_that_others_can_read_is_refused(tmp_path):
    """A secret file that other users can read is refused."""
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="can be used by others"):
        read(tmp_path, **WHOLE, UPSTREAM_CLIENT_SECRET_FILE=str(file)).secret()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"UPSTREAM_ISSUER": "https://a.example"}, "CLIENT_ID as well", id="no client"),
        pytest.param({"UPSTREAM_CLIENT_ID": "x"}, "without MACAROON_CBAT_UPSTREAM_ISSUER", id="no issuer"),
        pytest.param({"UPSTREAM_SCOPES": "openid"}, "without MACAROON_CBAT_UPSTREAM_ISSUER", id="unused"),
        pytest.param(WHOLE | {"UPSTREAM_ISSUER": "http://a.example"}, "https://", id="no TLS"),
        pytest.param(WHOLE | {"UPSTREAM_SCOPES": "profile"}, "openid among them", id="no openid"),
        pytest.param(WHOLE | {"UPSTREAM_SCOPES": "openid  x"}, "a space between", id="two spaces"),
        pytest.param(WHOLE | {"UPSTREAM_SUBJECT": "a b"}, "name of a claim", id="no claim"),
        pytest.param(WHOLE | {"UPSTREAM_ALLOWED": "hd"}, "CLAIM=VALUE", id="no value"),
        pytest.param(WHOLE | {"UPSTREAM_ALLOWED": "=x"}, "CLAIM=VALUE", id="no name"),
        pytest.param(
            WHOLE | {"UPSTREAM_CLIENT_SECRET": "x", "UPSTREAM_CLIENT_SECRET_FILE": "/x"},
            "unset one",
            id="two secrets",
        ),
        pytest.param(WHOLE | {"SESSION_IDLE": "59"}, "from 60", id="a short session"),
        pytest.param(WHOLE | {"SESSION_LIFETIME": "86401"}, "to 86400", id="a long session"),
        pytest.param(WHOLE | {"REQUIRE_PUSHED_REQUESTS": "2"}, "0 or 1", id="no switch"),
    ],
)
def test_settings_that_are_not_meant_so_are_refused(tmp_path, changes, words):
    """A mistake in the settings of the provider is one line at the start that says what to do."""
    with pytest.raises(SettingsError, match=words) as refusal:
        read(tmp_path, **changes)
    assert "\n" not in str(refusal.value)
