"""What a deployer may set, from the environment; every mistake is one line that says what to do."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.journal.refusals import DEFAULT_LINES
from macaroon_cbat.peer import PeerSource, tls_connection
from macaroon_cbat.service.data_places import PREFIX, database_url, refuse_both, wrapping_key
from macaroon_cbat.stores import WrappingKey

DEFAULT_ISSUER = "https://localhost:8443"
DEFAULT_LIFETIME, LONGEST_LIFETIME = 600, 86_400
VARIABLES = {
    "DATA": "folder of the embedded database, keys and development CA",
    "DATABASE_URL": "SQLAlchemy URL (default: SQLite in the data folder)",
    "DATABASE_URL_FILE": "file with that URL",
    "ISSUER": "the service's public URL (default: https://localhost:8443)",
    "WRAPPING_KEY": "32 bytes as base64url that encrypt root keys (default: wrapping.key in the data folder)",
    "WRAPPING_KEY_FILE": "file with them, from macaroon-cbat key generate-wrapping",
    "TOKEN_LIFETIME": "seconds an access token lives (default: 600, at most 86400)",
    "KEY_ROTATION": "seconds after which a new root key mints, at least 86400 (default: 0, by hand)",
    "CERTIFICATE_FORMAT": "how the proxy in front hands over client certificates, such as nginx or rfc9440",
    "CERTIFICATE_HEADER": "the header it uses (default: that of the format)",
    "TRUSTED_PROXIES": "who may do so, with commas: unix, secret, x5t#S256=THUMBPRINT, or networks",
    "PROXY_SECRET_FILE": "file with the secret that the proxy must send as Proxysecret",
    "CLIENT_CA": "PEM file of the CAs whose certificates tls_client_auth accepts",
    "AUDIT_LOG": "file of the audit log, - being standard error (default: among the ordinary log lines)",
    "AUDIT_REFUSALS": "audit lines of a budget of refusals in 10 s and process (default: 50, 0 for all)",
    "METRICS_PORT": "port of the metrics page of serve (default: none)",
    "MTLS_URL": "base URL with client certificates, where it differs from the issuer (RFC 8705 5)",
}

_BASE_URL = re.compile(r"https://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+])(?::(?P<port>[0-9]{1,5}))?\Z")
_SECONDS = re.compile(r"[0-9]{1,9}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the service needs to know. URLs have no trailing slash; lifetimes are seconds.

    `issuer` None means: as a service last ran on this database, else DEFAULT_ISSUER.
    """

    database_url: str = field(repr=False)
    wrapping_key: WrappingKey
    issuer: str | None = None
    token_lifetime: int = DEFAULT_LIFETIME
    client_ca: Path | None = None
    mtls_url: str | None = None
    key_rotation: int = 0
    audit_log: str | None = None
    audit_refusals: int = DEFAULT_LINES
    metrics_port: int | None = None
    peer: PeerSource = tls_connection

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        for name, url in (("ISSUER", self.issuer), ("MTLS_URL", self.mtls_url)):
            if url is not None and not _is_base_url(url):
                raise SettingsError(f"{PREFIX}{name} must be https://HOST[:PORT] without a path, not {url!r}")
        if not 1 <= self.token_lifetime <= LONGEST_LIFETIME:
            raise SettingsError(f"{PREFIX}TOKEN_LIFETIME must be 1 to {LONGEST_LIFETIME} seconds")
        if 0 < self.key_rotation < LONGEST_LIFETIME:
            raise SettingsError(f"{PREFIX}KEY_ROTATION must be 0 or at least {LONGEST_LIFETIME} seconds")


def settings_from_environment(
    environment: Mapping[str, str] = os.environ,
    *,
    data: Path | None = None,
    issuer: str | None = None,
    creates: bool = True,
) -> Settings:
    """Return the settings that the MACAROON_CBAT_ variables say; arguments come first.

    Makes the data folder and the wrapping key of an embedded database when they do not exist, unless
    `creates` is false. Raises SettingsError for an unknown variable or an unusable value.
    """
    given = {
        name.removeprefix(PREFIX): value for name, value in environment.items() if name.startswith(PREFIX)
    }
    if unknown := sorted(given.keys() - VARIABLES.keys()):
        known = ", ".join(PREFIX + name for name in VARIABLES)
        raise SettingsError(f"unknown setting {PREFIX}{unknown[0]}: unset it; known are {known}")
    if empty := sorted(name for name, value in given.items() if not value):
        raise SettingsError(f"{PREFIX}{empty[0]} is empty: set it to the {VARIABLES[empty[0]]}, or unset it")
    refuse_both(given)
    folder = data or data_folder(environment)
    url = database_url(given, folder, creates=creates)
    return Settings(
        database_url=url,
        wrapping_key=wrapping_key(given, url, folder, creates=creates),
        issuer=issuer or given.get("ISSUER"),
        token_lifetime=_seconds("TOKEN_LIFETIME", given.get("TOKEN_LIFETIME", str(DEFAULT_LIFETIME))),
        key_rotation=_seconds("KEY_ROTATION", given.get("KEY_ROTATION", "0")),
        client_ca=Path(given["CLIENT_CA"]) if "CLIENT_CA" in given else None,
        mtls_url=given.get("MTLS_URL"),
        audit_log=given.get("AUDIT_LOG"),
        audit_refusals=_number("AUDIT_REFUSALS", given.get("AUDIT_REFUSALS", str(DEFAULT_LINES))),
        metrics_port=_port("METRICS_PORT", given["METRICS_PORT"]) if "METRICS_PORT" in given else None,
        peer=_peer_source(given),
    )


def data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the data folder that the environment names, else the user's own."""
    name = environment.get(PREFIX + "DATA")
    shared = environment.get("XDG_DATA_HOME") or "~/.local/share"
    folder = Path(name) if name else Path(shared) / "macaroon-cbat"
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise SettingsError(f"the data folder {folder} has no home: choose another with --data") from error


def _peer_source(given: Mapping[str, str]) -> PeerSource:
    """Return where client certificates are found: on the connection itself unless a proxy is named."""
    needed = ("CERTIFICATE_FORMAT", "TRUSTED_PROXIES")
    if not given.keys() & {*needed, "CERTIFICATE_HEADER", "PROXY_SECRET_FILE"}:
        return tls_connection
    if missing := [name for name in needed if name not in given]:
        raise SettingsError(f"{PREFIX}{missing[0]} must be set behind a proxy: {VARIABLES[missing[0]]}")
    secret = (
        _secret("PROXY_SECRET_FILE", given["PROXY_SECRET_FILE"]) if "PROXY_SECRET_FILE" in given else None
    )
    try:
        trust = trusted_proxies(given["TRUSTED_PROXIES"].split(","), secret=secret)
    except SettingsError as error:
        raise SettingsError(f"{PREFIX}TRUSTED_PROXIES or its secret: {error}") from error
    try:
        return Forwarded(given["CERTIFICATE_FORMAT"], trust=trust, header=given.get("CERTIFICATE_HEADER"))
    except SettingsError as error:
        raise SettingsError(f"{PREFIX}CERTIFICATE_FORMAT or _HEADER: {error}") from error


def _secret(name: str, file: str) -> str:
    try:
        with open_private(Path(file), "secret file") as stream:
            return stream.read().decode("ascii").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{PREFIX}{name}: {file} holds no readable ASCII text") from error


def _seconds(name: str, text: str) -> int:
    if not _SECONDS.match(text):
        raise SettingsError(f"{PREFIX}{name} must be a number of seconds, not {text[:20]!r}")
    return int(text)


def _number(name: str, text: str) -> int:
    if not _SECONDS.match(text):
        raise SettingsError(f"{PREFIX}{name} must be a number, not {text[:20]!r}")
    return int(text)


def _port(name: str, text: str) -> int:
    if not _SECONDS.match(text) or not 0 < int(text) < 1 << 16:
        raise SettingsError(f"{PREFIX}{name} must be a port from 1 to 65535, not {text[:20]!r}")
    return int(text)


def _is_base_url(url: str) -> bool:
    parts = _BASE_URL.match(url)
    return parts is not None and (parts["port"] is None or 0 < int(parts["port"]) < 1 << 16)
