"""The settings of the service, from the environment; a mistake is one line that says what to do."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

from macaroon_cbat.audit.refusals import DEFAULT_LINES
from macaroon_cbat.certificate.source import CertificateSource, tls_connection
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW
from macaroon_cbat.macaroon.issuers import is_root_path, issuer_mistake, plain_issuer
from macaroon_cbat.service.data_places import DataPlaces, data_folder, database_url, wrapping_key
from macaroon_cbat.service.limits import USUAL, ServiceLimits
from macaroon_cbat.service.operation_settings import USUAL_OPERATION, OperationSettings
from macaroon_cbat.service.proxies import ProxySettings
from macaroon_cbat.service.refresh_settings import USUAL_REFRESH, RefreshSettings
from macaroon_cbat.service.registration_settings import BY_INVITATION, RegistrationSettings
from macaroon_cbat.service.secret_files import refuse_both
from macaroon_cbat.service.service_links import without_service_links
from macaroon_cbat.service.settings_file import with_file
from macaroon_cbat.service.throttle.settings import USUAL_THROTTLE, ThrottleSettings
from macaroon_cbat.service.upstream_settings import NO_UPSTREAM, UpstreamSettings, refuse_unused
from macaroon_cbat.service.variables import (
    PREFIX,
    Setting,
    Variable,
    read_variables,
    refuse_out_of_range,
    variables_of,
)
from macaroon_cbat.stores import WrappingKey

DEFAULT_ISSUER = "https://localhost:8443"
DEFAULT_LIFETIME, LONGEST_LIFETIME = 600, 86_400
LASTING = LONGEST_LIFETIME + 2 * LONGEST_CLOCK_SKEW
"""Seconds after which no earlier access token is valid: a guard may allow that skew, and be slow by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one service. Annotated fields are environment variables of the same name.

    Raises SettingsError for a number out of range, and for a URL or path that is not plain.
    """

    database_url: str = field(repr=False)
    """SQLAlchemy URL of SQLite or PostgreSQL; it may hold a password."""
    wrapping_key: WrappingKey
    """The 32 bytes that encrypt root keys in the database."""
    issuer: Annotated[
        str | None,
        Setting(
            meaning="the service's public URL",
            shape="https://HOST[:PORT][/PATH]",
            default=f"as the service last ran on this database, else {DEFAULT_ISSUER}",
        ),
    ] = None
    token_lifetime: Annotated[
        int,
        Setting(
            meaning="time that an access token lives",
            shape=f"a number of seconds from 1 to {LONGEST_LIFETIME}",
            least=1,
            most=LONGEST_LIFETIME,
        ),
    ] = DEFAULT_LIFETIME
    client_ca: Annotated[
        Path | None,
        Setting(
            meaning="PEM file of the CAs whose certificates tls_client_auth accepts",
            shape="a file",
            default="no CA",
        ),
    ] = None
    spiffe_bundles: Annotated[
        str | None,
        Setting(
            meaning="bundle of each SPIFFE trust domain whose workloads authenticate by their SVID",
            shape="TRUST-DOMAIN=FILE, several with commas between",
            default="no trust domain",
        ),
    ] = None
    authorization_details: Annotated[
        Path | None,
        Setting(
            meaning="TOML file of the types of authorization details (RFC 9396)",
            shape="a file",
            default="no type",
        ),
    ] = None
    mtls_url: Annotated[
        str | None,
        Setting(
            meaning="base URL for clients with certificates (RFC 8705 5)",
            shape="https://HOST[:PORT][/PATH]",
            default="the issuer",
        ),
    ] = None
    root_path: Annotated[
        str | None,
        Setting(
            meaning="path below which requests arrive, / where a proxy strips it",
            shape="/ or like /auth",
            default="the issuer's path",
        ),
    ] = None
    key_rotation: Annotated[
        int,
        Setting(
            meaning="time after which a new root key mints",
            shape=f"0 or at least {LONGEST_LIFETIME} seconds",
            default="0, by hand",
        ),
    ] = 0
    audit_log: Annotated[
        str | None,
        Setting(
            meaning="file of the audit log",
            shape="a file, or - for standard error",
            default="among the ordinary log lines",
        ),
    ] = None
    audit_refusals: Annotated[
        int,
        Setting(
            meaning="audit lines of a budget of refusals in 10 s and process",
            shape="a number, or 0 for all",
        ),
    ] = DEFAULT_LINES
    dpop_nonces: Annotated[
        int,
        Setting(
            meaning="whether DPoP proofs need a nonce of the service (RFC 9449 8)",
            shape="1 or 0",
            most=1,
        ),
    ] = 0
    database_upgrade: int = 1
    """1 if the service upgrades the schema of the database, or makes it."""
    people: UpstreamSettings = NO_UPSTREAM
    """The provider at which people log in, if they can, and their sessions."""
    throttle: ThrottleSettings = USUAL_THROTTLE
    """Limits on what one client, or one address, may try."""
    limits: ServiceLimits = USUAL
    """Seconds, connections and bytes that one client may use."""
    refresh: RefreshSettings = USUAL_REFRESH
    """Lifetimes of refresh tokens."""
    registration: RegistrationSettings = BY_INVITATION
    """Rights for which any client may register itself."""
    operation: OperationSettings = USUAL_OPERATION
    """Log and management port."""
    certificate_source: CertificateSource = tls_connection
    """Finds the client certificate of a request: on the TLS connection, or in a trusted proxy's header."""

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        refuse_out_of_range(self)
        for name, url in (("ISSUER", self.issuer), ("MTLS_URL", self.mtls_url)):
            if url is not None and (mistake := issuer_mistake(url)):
                raise SettingsError(f"{PREFIX}{name} {url!r} {mistake}")
        if self.root_path is not None and not is_root_path(self.root_path):
            raise VARIABLES["ROOT_PATH"].unusable(self.root_path)
        if 0 < self.key_rotation < LONGEST_LIFETIME:
            raise VARIABLES["KEY_ROTATION"].unusable(str(self.key_rotation))


VARIABLES: dict[str, Variable] = {
    one.name: one
    for settings in (
        *(DataPlaces, Settings, OperationSettings, RefreshSettings, RegistrationSettings, UpstreamSettings),
        *(ProxySettings, ThrottleSettings, ServiceLimits),
    )
    for one in variables_of(settings)
}
"""Every environment variable of the service, by its name without MACAROON_CBAT_."""

_OPTIONS_ALONE = {"HOST", "PORT", "WORKERS", "THREADS", "CERT", "KEY"}


def settings_from_environment(
    environment: Mapping[str, str] = os.environ,
    *,
    data: Path | None = None,
    issuer: str | None = None,
    creates: bool = True,
) -> Settings:
    """Return the settings of the MACAROON_CBAT_ variables; `data` and `issuer` take their place.

    Makes the data folder and the wrapping key of an embedded database when they do not exist, unless
    `creates` is false. Service links of Kubernetes are not settings. Raises SettingsError for an unknown
    variable, an unusable value, and a database or key that is missing.
    """
    environment = with_file(environment)
    given = given_variables(environment)
    plain = read_variables(Settings, given)
    places = DataPlaces(**read_variables(DataPlaces, given))
    folder = data or data_folder(environment)
    url = database_url(places, folder, creates=creates)
    if issuer is not None:
        plain["issuer"] = issuer
    for name in plain.keys() & {"issuer", "mtls_url"}:
        plain[name] = plain_issuer(plain[name], PREFIX + name.upper())
    if "root_path" in plain:
        plain["root_path"] = plain["root_path"].removesuffix("/")
    return Settings(
        database_url=url,
        wrapping_key=wrapping_key(places, url, folder, environment, creates=creates),
        database_upgrade=places.database_upgrade,
        certificate_source=ProxySettings(**read_variables(ProxySettings, given)).certificate_source(),
        refresh=RefreshSettings(**read_variables(RefreshSettings, given)),
        people=UpstreamSettings(**read_variables(UpstreamSettings, given)),
        registration=RegistrationSettings(**read_variables(RegistrationSettings, given)),
        throttle=ThrottleSettings(**read_variables(ThrottleSettings, given)),
        limits=ServiceLimits(**read_variables(ServiceLimits, given)),
        operation=OperationSettings(**read_variables(OperationSettings, given)),
        **plain,
    )


def given_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are set, without their prefix, or raise SettingsError for an unknown one."""
    given = without_service_links(
        {name.removeprefix(PREFIX): value for name, value in environment.items() if name.startswith(PREFIX)}
    )
    if unknown := sorted(given.keys() - VARIABLES.keys()):
        raise SettingsError(_unknown(unknown[0]))
    if empty := sorted(name for name, value in given.items() if not value):
        raise VARIABLES[empty[0]].empty()
    refuse_both(given)
    refuse_unused(given)
    return given


def _unknown(name: str) -> str:
    if name in _OPTIONS_ALONE:
        option = name.lower().replace("_", "-")
        return f"unknown setting {PREFIX}{name}: unset it, and give it to macaroon-cbat serve as --{option}"
    known = ", ".join(PREFIX + one for one in VARIABLES)
    near = get_close_matches(name, VARIABLES, n=1)
    meant = f", or did you mean {PREFIX}{near[0]}?" if near else ";"
    return f"unknown setting {PREFIX}{name}: unset it{meant} known are {known}"
