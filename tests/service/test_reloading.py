"""A reload of settings: what may change is in force at once, what may not is named."""

import json
import logging
from pathlib import Path

import pytest

from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.service import Settings, settings_from_environment
from macaroon_cbat.service.adjusting import adjust
from macaroon_cbat.service.reloading import CHANGEABLE, SettingsInForce
from macaroon_cbat.service.settings import VARIABLES
from tests.support.audit_events import events
from tests.support.service import Service, grant_of

OTHERS = {
    "TOKEN_LIFETIME": "77",
    "KEY_ROTATION": "86400",
    "AUDIT_LOG": "-",
    "AUDIT_REFUSALS": "7",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "debug",
    "REFRESH_IDLE": "77",
    "REFRESH_GRACE": "7",
    "BODY_BYTES": "20000",
}
"""Another value of each variable that may change; 77 of one that is not named here."""


class Variables:
    """The variables as the next look finds them."""

    def __init__(self, folder: Path) -> None:
        """Begin with a data folder alone."""
        self.given = {"MACAROON_CBAT_DATA": str(folder)}

    def __call__(self) -> dict[str, str]:
        """Return them."""
        return dict(self.given)

    def set(self, **values: str) -> None:
        """Set these."""
        self.given |= {f"MACAROON_CBAT_{name}": value for name, value in values.items()}


@pytest.fixture
def variables(tmp_path: Path) -> Variables:
    return Variables(tmp_path)


@pytest.fixture
def in_force(variables: Variables) -> SettingsInForce:
    first = variables()
    return SettingsInForce(settings_from_environment(first), first, settings_from_environment, variables)


def value_of(settings: Settings, name: str) -> object:
    """Return the value of a variable, in whichever part of the settings it is."""
    parts = (settings, settings.limits, settings.throttle, settings.refresh, settings.operation)
    [found] = [getattr(part, name.lower()) for part in parts if hasattr(part, name.lower())]
    return found


@pytest.mark.parametrize("name", sorted(CHANGEABLE))
def test_what_may_change_is_in_force(in_force, variables, caplog, name) -> None:
    """Each variable that may change has its new value after a reload, and one line of the log says so."""
    before = value_of(in_force.settings, name)
    variables.set(**{name: OTHERS.get(name, "77")})
    with caplog.at_level(logging.INFO, "macaroon_cbat"):
        assert in_force.reload()
    assert str(value_of(in_force.settings, name)) == OTHERS.get(name, "77") != str(before)
    assert caplog.messages == [f"MACAROON_CBAT_{name} has another value, which is in force now"]
    assert not in_force.reload()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ISSUER", "https://other.example"),
        ("ROOT_PATH", "/other"),
        ("MANAGEMENT_PORT", "9100"),
        ("DPOP_NONCES", "1"),
        ("LIMITS_STORAGE", "redis://localhost"),
        ("REFRESH_MAX", "9000000"),
        ("DATABASE_URL", "sqlite:////nowhere/hunter2.sqlite3"),
    ],
)
def test_what_may_not_change_is_named(in_force, variables, caplog, name, value) -> None:
    """A variable that cannot change while the service runs keeps its value, and a warning says what to do."""
    before = in_force.settings
    variables.set(**{name: value})
    variables.given["MACAROON_CBAT_WRAPPING_KEY"] = "A" * 42 + "E"
    in_force.reload()
    assert in_force.settings == before
    assert (
        f"MACAROON_CBAT_{name} has another value, which cannot change while the service runs" in caplog.text
    )
    assert "hunter2" not in caplog.text
    assert "AAAA" not in caplog.text


@pytest.mark.parametrize("name", ["DATABASE_URL_FILE", "LIMITS_STORAGE_FILE"])
def test_a_secret_that_was_replaced_in_its_file_is_named(in_force, variables, caplog, tmp_path, name) -> None:
    """A file that is read at the start alone has another content: the log says to start the service again."""
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_text("redis://localhost/1" if "LIMITS" in name else f"sqlite:///{tmp_path}/one.sqlite3")
    variables.set(**{name: str(file)})
    in_force.reload()
    caplog.clear()
    in_force.reload()
    assert caplog.messages == []
    file.write_text(file.read_text().replace("1", "2").replace("one", "hunter2"))
    in_force.reload()
    in_force.reload()
    cannot = "has another value, which cannot change while the service runs: restart it"
    assert caplog.messages == [f"MACAROON_CBAT_{name} {cannot}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("TOKEN_LIFETIME", "0", id="out of range"),
        pytest.param("LOG_LEVEL", "loud", id="no word"),
        pytest.param("ISSUER", "http://x", id="unusable and not to change"),
        pytest.param("TOKENS_LIFETIME", "77", id="a typo"),
        pytest.param("AUDIT_LOG", "/proc/nowhere/audit.log", id="no place for the audit log"),
    ],
)
def test_a_mistake_changes_nothing(in_force, variables, caplog, name, value) -> None:
    """One wrong variable leaves all in force, right ones beside it too; the log has the line of a start."""
    before = in_force.settings
    variables.set(KEY_ROTATION="86400", **{name: value})
    assert not in_force.reload()
    assert in_force.settings is before
    [line] = caplog.messages
    assert line.startswith("keeping the settings in force: ")
    assert f"MACAROON_CBAT_{name}" in line
    del variables.given[f"MACAROON_CBAT_{name}"]
    assert in_force.reload()
    assert in_force.settings.key_rotation == 86400


def test_a_process_beside_another_one_says_nothing(in_force, variables, caplog) -> None:
    """Workers obey as their parent does, and leave the log to it."""
    variables.set(TOKEN_LIFETIME="0")
    assert not in_force.reload(is_quiet=True)
    variables.set(TOKEN_LIFETIME="77")
    assert in_force.reload(is_quiet=True)
    assert caplog.messages == []


def test_every_other_variable_is_named_in_neither(in_force) -> None:
    """The variables that may change are variables, and most are not among them."""
    assert VARIABLES.keys() > CHANGEABLE


def test_a_running_application_obeys(services, file) -> None:
    """Lifetime, limits, sizes and audit log of an application change between two requests."""
    service: Service = services.start_new(audit_log=str(file))
    new = file.with_name("other.log")
    grant = grant_of(service.token())
    assert grant.exp - grant.iat == service.settings.token_lifetime
    settings = settings_from_environment(
        {
            "MACAROON_CBAT_DATA": str(service.folder),
            "MACAROON_CBAT_DATABASE_URL": service.settings.database_url,
            "MACAROON_CBAT_WRAPPING_KEY": "A" * 42 + "E",
            "MACAROON_CBAT_TOKEN_LIFETIME": "77",
            "MACAROON_CBAT_CLIENT_REQUESTS": "2",
            "MACAROON_CBAT_BODY_BYTES": "16384",
            "MACAROON_CBAT_AUDIT_LOG": str(new),
        }
    )
    adjust(service.app)(settings)
    grant = grant_of(service.token())
    assert grant.exp - grant.iat == 77
    assert service.ask_token(padding="x" * 20_000).status_code == 413
    service.token()
    assert service.ask_token().status_code == 429
    write_log_to(None)
    assert len(events(file)) == 1
    assert [line["event"] for line in events(new)][:1] == ["token.minted"]
    assert json.loads(new.read_text().splitlines()[-1])["event"] == "rate.limited"
