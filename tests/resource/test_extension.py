from pathlib import Path

import pytest
from flask import Flask

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.keys import write_key_file
from macaroon_cbat.resource import Guard, KeyFile
from macaroon_cbat.resource.verifier import OfflineVerifier
from tests.support.guarded_app import add_views, bound, call, make_app
from tests.support.one_line import one_line
from tests.support.tokens import API, KEYS, NOW


@pytest.mark.parametrize("kind", ["a path", "a path as text", "a KeyFile", "keys in memory"])
def test_the_guard_takes_keys_in_every_form(key_file: Path, kind: str):
    """Keys may be a path, a path as text, a KeyFile or keys in memory."""
    keys = {"a path": key_file, "a path as text": str(key_file), "keys in memory": KEYS}.get(kind)
    app = make_app(keys=keys or KeyFile(key_file))
    assert call(app, bound()).status_code == 200


def test_the_guard_takes_another_verifier():
    """A verifier takes the place of keys."""
    assert call(make_app(verifier=OfflineVerifier(KEYS)), bound()).status_code == 200


def test_the_constructor_guards_the_application_at_once(key_file: Path):
    """Guard(app, keys=...) needs no init_app."""
    app = Flask("resource")
    add_views(app, Guard(app, keys=key_file, clock=lambda: NOW))
    assert call(app, bound()).status_code == 200


def test_an_application_factory_configures_the_keys(key_file: Path):
    """With init_app the key file comes from app.config["MACAROON_CBAT_KEYS"]."""
    guard = Guard(clock=lambda: NOW)
    app = Flask("resource")
    add_views(app, guard)
    app.config["MACAROON_CBAT_KEYS"] = str(key_file)
    guard.init_app(app)
    assert call(app, bound()).status_code == 200


def test_one_guard_serves_several_applications(tmp_path: Path):
    """A guard judges each application's requests with that application's keys."""
    guard, apps = Guard(clock=lambda: NOW), []
    for audience in (API, "https://other.example"):
        app = Flask("resource")
        file = tmp_path / audience[-11:]
        file.write_bytes(write_key_file(type(KEYS)(KEYS.issuer, audience, KEYS.keys)))
        file.chmod(0o600)
        app.config["MACAROON_CBAT_KEYS"] = file
        add_views(app, guard)
        guard.init_app(app)
        apps.append(app)
    assert [call(app, bound()).status_code for app in apps] == [200, 401]


def test_the_constructor_s_keys_come_before_the_configuration(tmp_path: Path):
    """Keys given in code count, whatever the configuration says."""
    app = Flask("resource")
    app.config["MACAROON_CBAT_KEYS"] = str(tmp_path / "missing.json")
    add_views(app, Guard(app, keys=KEYS, clock=lambda: NOW))
    assert call(app, bound()).status_code == 200


def test_no_keys_are_a_settings_error():
    """A guard without keys and verifier says what it needs."""
    with pytest.raises(SettingsError, match="needs keys") as error:
        Guard().init_app(Flask("resource"))
    assert one_line(error)


def test_keys_and_a_verifier_are_a_settings_error():
    """Keys and a verifier at once leave open which of them judges."""
    with pytest.raises(SettingsError, match="one of them") as error:
        Guard(Flask("resource"), keys=KEYS, verifier=OfflineVerifier(KEYS))
    assert one_line(error)


def test_a_missing_key_file_is_a_settings_error(tmp_path: Path):
    """A key file that is not there is named, with the command that writes it."""
    with pytest.raises(SettingsError, match=r"missing\.json.*macaroon-cbat key export") as error:
        Guard(Flask("resource"), keys=tmp_path / "missing.json")
    assert one_line(error)


DAMAGED = {
    "empty": b"",
    "no JSON": b"-----BEGIN",
    "no UTF-8": b'{"issuer":"\xff"}',
    "another document": b'{"keys":[]}',
    "no keys": b'{"issuer":"https://as.example","audience":"https://api.example","keys":[]}',
    "a short key": b'{"issuer":"i","audience":"a","keys":[{"kid":"k","k":"AAAA"}]}',
    "cut in the middle": write_key_file(KEYS)[:-40],
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_key_file_is_a_settings_error(tmp_path: Path, content: bytes):
    """A key file that is none is named, with the command that writes it anew."""
    file = tmp_path / "keys.json"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"keys\.json.*macaroon-cbat key export") as error:
        Guard(Flask("resource"), keys=file)
    assert one_line(error)


def test_a_folder_is_no_key_file(tmp_path: Path):
    """A folder in the place of the key file is a settings error."""
    with pytest.raises(SettingsError, match="cannot be read"):
        Guard(Flask("resource"), keys=tmp_path)


def test_one_application_has_one_guard():
    """A second guard would leave open which of the two judges."""
    app = make_app()
    with pytest.raises(SettingsError, match="has a guard already"):
        Guard(app, keys=KEYS)


def test_a_guard_that_was_never_installed_lets_no_client_in():
    """A view under a guard without init_app fails instead of letting a client in."""
    app = Flask("resource")
    add_views(app, Guard(keys=KEYS))
    app.testing = True
    with pytest.raises(SettingsError, match="init_app"):
        call(app, bound())
    app.testing = False
    assert call(app, bound()).status_code == 500


def test_another_guard_s_rules_never_apply():
    """A view is judged by the guard that stands before it, never by a laxer one of the application."""
    app = make_app(require_certificate=False)
    strict = Guard(keys=KEYS, clock=lambda: NOW)
    app.add_url_rule("/strict", "strict", strict.require("read")(lambda: "in"))
    app.testing = True
    with pytest.raises(SettingsError, match="init_app"):
        call(app, bound(), path="/strict")


ORIGINS = ["api.example", "https://api.example/v1", "ftp://api.example", "https://a:b@api.example", ""]


@pytest.mark.parametrize("origin", ORIGINS)
def test_an_origin_is_scheme_and_host(origin: str):
    """An origin that no htu could ever name is a settings error, at once."""
    with pytest.raises(SettingsError, match="origin"):
        make_app(origin=origin)
