"""What a deployer may set, from the environment; every mistake is one line that says what to do."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from macaroon_cbat.audit.refusals import DEFAULT_LINES
from macaroon_cbat.certificate.forwarded import Forwarded, Trust, trusted_proxies
from macaroon_cbat.certificate.source import CertificateSource, tls_connection
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.issuers import is_root_path, issuer_mistake, plain_issuer
from macaroon_cbat.service.data_places import PREFIX, database_url, refuse_both, wrapping_key
from macaroon_cbat.service.limits import LIMIT_VARIABLES, USUAL, ServiceLimits, service_limits
from macaroon_cbat.service.proxy_secret import ProxiesWithSecretFile
from macaroon_cbat.service.service_links import without_service_links
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
    "CERTIFICATE_COMPANION": "the header beside it that says whether there is one (default: as the format)",
    "TRUSTED_PROXIES": "who may do so, with commas: unix, secret, x5t#S256=THUMBPRINT, or networks",
    "PROXY_SECRET_FILE": "file with the secret that the proxy must send as Proxysecret",
    "CLIENT_CA": "PEM file of the CAs whose certificates tls_client_auth accepts",
    "AUDIT_LOG": "file of the audit log, - being standard error (default: among the ordinary log lines)",
    "AUDIT_REFUSALS": "audit lines of a budget of refusals in 10 s and process (default: 50, 0 for all)",
    "METRICS_PORT": "port of the metrics page of serve (default: none)",
    **LIMIT_VARIABLES,
    "MTLS_URL": "base URL with client certificates, where it differs from the issuer (RFC 8705 5)",
    "ROOT_PATH": "path below which requests arrive, / where a proxy strips it (default: the issuer's path)",
}

_OPTIONS_ALONE = {"HOST", "PORT", "WORKERS", "THREADS", "CERT", "KEY", "METRICS_HOST"}
_SECONDS = re.compile(r"[0-9]{1,9}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the service needs to know. URLs have no trailing slash; lifetimes are seconds.

    `root_path` is where the routes are in requests as they arrive; None means: below the issuer's own path.
    `issuer` None means: as a service last ran on this database, else DEFAULT_ISSUER.
    """

    database_url: str = field(repr=False)
    wrapping_key: WrappingKey
    issuer: str | None = None
    token_lifetime: int = DEFAULT_LIFETIME
    client_ca: Path | None = None
    mtls_url: str | None = None
    root_path: str | None = None
    key_rotation: int = 0
    audit_log: str | None = None
    audit_refusals: int = DEFAULT_LINES
    metrics_port: int | None = None
    limits: ServiceLimits = USUAL
    certificate_source: CertificateSource = tls_connection

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        for name, url in (("ISSUER", self.issuer), ("MTLS_URL", self.mtls_url)):
            if url is not None and (mistake := issuer_mistake(url)):
                raise SettingsError(f"{PREFIX}{name} {url!r} {mistake}")
        if self.root_path is not None and not is_root_path(self.root_path):
            raise SettingsError(f"{PREFIX}ROOT_PATH must be / or like /auth, not {self.root_path!r}")
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
    `creates` is false. Raises SettingsError for an unknown variable or an unusable value; the service links
    of Kubernetes are no settings.
    """
    given = without_service_links(
        {name.removeprefix(PREFIX): value for name, value in environment.items() if name.startswith(PREFIX)}
    )
    if unknown := sorted(given.keys() - VARIABLES.keys()):
        raise SettingsError(_unknown(unknown[0]))
    if empty := sorted(name for name, value in given.items() if not value):
        raise SettingsError(f"{PREFIX}{empty[0]} is empty: set it to the {VARIABLES[empty[0]]}, or unset it")
    refuse_both(given)
    folder = data or data_folder(environment)
    url = database_url(given, folder, creates=creates)
    return Settings(
        database_url=url,
        wrapping_key=wrapping_key(given, url, folder, creates=creates),
        issuer=_plain("ISSUER", issuer or given.get("ISSUER")),
        token_lifetime=_seconds("TOKEN_LIFETIME", given.get("TOKEN_LIFETIME", str(DEFAULT_LIFETIME))),
        key_rotation=_seconds("KEY_ROTATION", given.get("KEY_ROTATION", "0")),
        client_ca=Path(given["CLIENT_CA"]) if "CLIENT_CA" in given else None,
        mtls_url=_plain("MTLS_URL", given.get("MTLS_URL")),
        root_path=given["ROOT_PATH"].removesuffix("/") if "ROOT_PATH" in given else None,
        audit_log=given.get("AUDIT_LOG"),
        audit_refusals=_number("AUDIT_REFUSALS", given.get("AUDIT_REFUSALS", str(DEFAULT_LINES))),
        metrics_port=_port("METRICS_PORT", given["METRICS_PORT"]) if "METRICS_PORT" in given else None,
        certificate_source=_certificate_source(given),
        limits=service_limits(given),
    )


def _unknown(name: str) -> str:
    if name in _OPTIONS_ALONE:
        option = name.lower().replace("_", "-")
        return f"unknown setting {PREFIX}{name}: unset it, and give it to macaroon-cbat serve as --{option}"
    known = ", ".join(PREFIX + one for one in VARIABLES)
    near = get_close_matches(name, VARIABLES, n=1)
    meant = f", or did you mean {PREFIX}{near[0]}?" if near else ";"
    return f"unknown setting {PREFIX}{name}: unset it{meant} known are {known}"


def data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the data folder that the environment names, else the user's own."""
    name = environment.get(PREFIX + "DATA")
    shared = environment.get("XDG_DATA_HOME") or "~/.local/share"
    folder = Path(name) if name else Path(shared) / "macaroon-cbat"
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise SettingsError(f"the data folder {folder} has no home: choose another with --data") from error


def _certificate_source(given: Mapping[str, str]) -> CertificateSource:
    """Return where client certificates are found: on the connection itself unless a proxy is named."""
    needed = ("CERTIFICATE_FORMAT", "TRUSTED_PROXIES")
    if not given.keys() & {*needed, "CERTIFICATE_HEADER", "CERTIFICATE_COMPANION", "PROXY_SECRET_FILE"}:
        return tls_connection
    if missing := [name for name in needed if name not in given]:
        raise SettingsError(f"{PREFIX}{missing[0]} must be set behind a proxy: {VARIABLES[missing[0]]}")
    trust = _trust(given["TRUSTED_PROXIES"].split(","), given.get("PROXY_SECRET_FILE"))
    try:
        return Forwarded(
            given["CERTIFICATE_FORMAT"],
            trust=trust,
            header=given.get("CERTIFICATE_HEADER"),
            companion=given.get("CERTIFICATE_COMPANION"),
        )
    except SettingsError as error:
        raise SettingsError(f"{PREFIX}CERTIFICATE_FORMAT, _HEADER or _COMPANION: {error}") from error


def _trust(proxies: list[str], secret_file: str | None) -> Trust:
    if secret_file is not None:
        return ProxiesWithSecretFile(proxies, Path(secret_file))
    try:
        return trusted_proxies(proxies)
    except SettingsError as error:
        raise SettingsError(f"{PREFIX}TRUSTED_PROXIES or its secret: {error}") from error


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


def _plain(name: str, url: str | None) -> str | None:
    return None if url is None else plain_issuer(url, PREFIX + name)
