"""The settings of a deployer; every mistake is one line that says what to do."""

from base64 import urlsafe_b64encode
from dataclasses import fields
from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service import create_app, settings_from_environment
from macaroon_cbat.service.data_places import DataPlaces, data_folder
from macaroon_cbat.service.settings import VARIABLES, Settings
from macaroon_cbat.service.throttle.settings import ThrottleSettings
from macaroon_cbat.service.upstream_settings import UpstreamSettings
from macaroon_cbat.stores import WrappingKey

KEY = WrappingKey(bytes(range(32)))
KEY_TEXT = urlsafe_b64encode(KEY.secret).decode().rstrip("=")


def settings(folder, **variables: str):
    environment = {"MACAROON_CBAT_DATA": str(folder)}
    environment |= {f"MACAROON_CBAT_{name}": value for name, value in variables.items()}
    return settings_from_environment(environment)


def refusal(folder, **variables: str) -> str:
    with pytest.raises(SettingsError) as refused:
        settings(folder, **variables)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_data_folder_is_enough(tmp_path):
    """With a data folder alone, everything is made in it, for its owner only."""
    folder = tmp_path / "new" / "data"
    made = settings(folder)
    assert made.database_url == f"sqlite:///{folder / 'macaroon_cbat.sqlite3'}"
    assert (made.issuer, made.token_lifetime, made.client_ca, made.mtls_url) == (None, 600, None, None)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "wrapping.key").stat().st_mode & 0o777 == 0o600
    assert settings(folder).wrapping_key == made.wrapping_key


def test_every_variable_counts(tmp_path):
    """Each variable sets what its name says."""
    made = settings(
        tmp_path,
        DATABASE_URL="sqlite:////elsewhere/db",
        ISSUER="https://as.example:8443",
        WRAPPING_KEY=KEY_TEXT,
        TOKEN_LIFETIME="60",
        CLIENT_CA="/etc/ca.pem",
        MTLS_URL="https://mtls.as.example",
    )
    assert made.database_url == "sqlite:////elsewhere/db"
    assert (made.issuer, made.mtls_url) == ("https://as.example:8443", "https://mtls.as.example")
    assert made.wrapping_key == KEY
    assert (made.token_lifetime, made.client_ca) == (60, Path("/etc/ca.pem"))


def test_a_wrapping_key_of_the_environment_stays_there(tmp_path):
    """With a wrapping key in the environment, none is written to the disk."""
    settings(tmp_path, WRAPPING_KEY=KEY_TEXT)
    assert not (tmp_path / "wrapping.key").exists()


def test_with_url_and_key_nothing_touches_the_disk(tmp_path):
    """With database URL and wrapping key set, the data folder is not made."""
    folder = tmp_path / "unused"
    settings(folder, DATABASE_URL="postgresql://db/cbat", WRAPPING_KEY=KEY_TEXT)
    assert not folder.exists()


def test_the_settings_print_no_secret(tmp_path):
    """The settings as they are printed show neither the database's password nor the wrapping key."""
    made = settings(tmp_path, DATABASE_URL="postgresql://user:hunter2@db/cbat", WRAPPING_KEY=KEY_TEXT)
    assert "hunter2" not in repr(made)
    assert KEY_TEXT not in repr(made)
    assert repr(KEY.secret)[2:-1] not in repr(made)


def test_arguments_come_before_the_environment(tmp_path):
    """The arguments of the caller count more than what the environment says."""
    environment = {"MACAROON_CBAT_DATA": str(tmp_path / "a"), "MACAROON_CBAT_ISSUER": "https://a.example"}
    made = settings_from_environment(environment, data=tmp_path / "b", issuer="https://b.example")
    assert made.issuer == "https://b.example"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_other_variables_are_none_of_ours(tmp_path):
    """Variables without the prefix are not looked at."""
    environment = {"MACAROON_CBAT_DATA": str(tmp_path), "ISSUER": "nonsense", "MACAROON": "x", "PATH": ""}
    assert settings_from_environment(environment).issuer is None


@pytest.mark.parametrize("name", ["ISUER", "issuer", "", "TOKEN_LIFETIMES", "DATA_"])
def test_an_unknown_variable_is_refused(tmp_path, name):
    """An unknown variable with the prefix is refused, with those that are known."""
    reason = refusal(tmp_path, **{name: "x"})
    assert f"MACAROON_CBAT_{name}: unset it" in reason
    assert all(f"MACAROON_CBAT_{known}" in reason for known in VARIABLES)


@pytest.mark.parametrize("name", ["ISSUER", "MTLS_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "as.example",
        "http://as.example",
        "https://",
        "https:///x",
        "https://as.example//",
        "https://as.example/path//x",
        "https://as.example/../x",
        "https://as.example?x",
        "https://as.example#x",
        "https://user@as.example",
        "https://as.example:99999",
        "https://as.example:x",
        "https://as.example:0",
        "https://as.example:",
        "https://[::1",
        "https://as example",
        "https://as.example\n",
        "https://ä.example",
        'https://as"example',
        "HTTPS://as.example",
    ],
)
def test_a_url_that_is_no_base_is_refused(tmp_path, name, url):
    """Issuer and mTLS URL are https, a host, perhaps a port and a plain path, in one spelling."""
    assert refusal(tmp_path, **{name: url}).startswith(f"MACAROON_CBAT_{name} ")


@pytest.mark.parametrize(
    "url",
    [
        "https://a",
        "https://localhost:8443",
        "https://[::1]:8443",
        "https://10.0.0.1",
        "https://a_b/c",
        "https://a/",
    ],
)
def test_an_honest_url_is_taken(tmp_path, url):
    """Any https URL of host and plain path may be the issuer; a slash at its end is left out."""
    assert settings(tmp_path, ISSUER=url, MTLS_URL=url).issuer == url.rstrip("/")
    assert settings(tmp_path, ISSUER=url, MTLS_URL=url).mtls_url == url.rstrip("/")


@pytest.mark.parametrize(
    ("text", "root"), [("/", ""), ("/auth", "/auth"), ("/auth/", "/auth"), ("/a/b", "/a/b")]
)
def test_where_requests_arrive_is_a_path(tmp_path, text, root):
    """`/` says that a proxy strips the issuer's path; unset, that it keeps it."""
    assert settings(tmp_path, ROOT_PATH=text).root_path == root
    assert settings(tmp_path).root_path is None


@pytest.mark.parametrize("value", ["0", "-1", "86401", "1.5", "ten", "1e3", "9" * 5000, " 60", "٣"])
def test_a_lifetime_that_is_none_is_refused(tmp_path, value):
    """The lifetime of tokens is a number of seconds, 24 hours at most."""
    reason = refusal(tmp_path, TOKEN_LIFETIME=value)
    assert reason.startswith("MACAROON_CBAT_TOKEN_LIFETIME must be ")
    assert len(reason) < 200


@pytest.mark.parametrize("value", ["x", KEY_TEXT[:42], KEY.secret.hex()])
def test_a_wrapping_key_that_is_none_is_refused(tmp_path, value):
    """A wrapping key in the environment is 32 bytes of base64url, and is not quoted when it is wrong."""
    reason = refusal(tmp_path, WRAPPING_KEY=value)
    assert reason.startswith("MACAROON_CBAT_WRAPPING_KEY must be 32 bytes")
    assert len(value) < 10 or value not in reason


@pytest.mark.parametrize("name", VARIABLES)
def test_an_empty_variable_is_refused(tmp_path, name):
    """A variable that is set to nothing means neither the current folder nor the default."""
    assert f"MACAROON_CBAT_{name} is empty" in refusal(tmp_path, **{name: ""})


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param("{file}/data", id="below a file"),
        pytest.param("{file}", id="a file"),
        pytest.param("~no-such-user/data", id="in the home of an unknown user"),
        pytest.param("/dev/null/data", id="below a device"),
    ],
)
def test_an_unusable_folder_is_refused(tmp_path, folder):
    """A data folder that cannot be made is refused with its name and the remedy."""
    (tmp_path / "file").touch()
    name = folder.format(file=tmp_path / "file")
    reason = refusal(Path(name))
    assert name in reason
    assert "--data" in reason


@pytest.mark.parametrize(
    "name", ["with space", "100%25", "ümläut", "what?mode=memory", "a#b", "a;b", "%s", "a:b@c"]
)
def test_a_folder_may_be_called_anything(tmp_path, name):
    """The database lies in the data folder, whatever that is called."""
    app = create_app(settings(tmp_path / name))
    app.extensions["macaroon_cbat"].database.close()
    assert (tmp_path / name / "macaroon_cbat.sqlite3").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_default_folder_is_the_users(tmp_path):
    """Without a setting, the data lie where a user's data lie."""
    assert data_folder({"XDG_DATA_HOME": str(tmp_path)}) == tmp_path / "macaroon-cbat"
    assert data_folder({}) == Path.home() / ".local/share/macaroon-cbat"
    assert data_folder({"MACAROON_CBAT_DATA": "~/x"}) == Path.home() / "x"


def test_the_environment_is_enough(tmp_path, monkeypatch):
    """`create_app()` without arguments serves as the environment says, under any WSGI server."""
    monkeypatch.setenv("MACAROON_CBAT_DATA", str(tmp_path))
    monkeypatch.setenv("MACAROON_CBAT_ISSUER", "https://as.example")
    app = create_app()
    metadata = app.test_client().get("/.well-known/oauth-authorization-server").json
    assert metadata["issuer"] == "https://as.example"
    app.extensions["macaroon_cbat"].database.close()


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"], ids=repr)
def test_the_storage_of_limits_may_be_in_a_file(tmp_path, ending):
    """The URL of Redis, which holds its password, is read from a private file without its line end."""
    file = tmp_path / "redis"
    file.touch(0o600)
    file.write_text("rediss://:hunter2@127.0.0.1:6379" + ending, newline="")
    read = settings(tmp_path / "data", LIMITS_STORAGE_FILE=str(file))
    assert read.throttle.storage() == "rediss://:hunter2@127.0.0.1:6379"
    assert "hunter2" not in repr(read)


def test_every_secret_may_be_in_a_file():
    """Each setting that is not shown, because it may hold a secret, has another one that names its file."""
    hidden = {
        field.name.upper()
        for kind in (DataPlaces, Settings, UpstreamSettings, ThrottleSettings)
        for field in fields(kind)
        if not field.repr and field.name.upper() in VARIABLES
    }
    assert {"DATABASE_URL", "WRAPPING_KEY", "UPSTREAM_CLIENT_SECRET", "LIMITS_STORAGE"} <= hidden
    without_file = {name for name in hidden if f"{name}_FILE" not in VARIABLES}
    assert without_file == {"WRAPPING_COMMAND"}  # its secrets come by its own ways
