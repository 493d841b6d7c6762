"""The settings of deployment files: each value has an alphabet without syntax of any file that it enters."""

import re
from dataclasses import dataclass
from pathlib import Path

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.issuers import plain_issuer
from macaroon_cbat.proxy_config.addresses import PLAIN_PATH, read_upstream
from macaroon_cbat.server.address import Address

_ISSUER = re.compile(r"https://[A-Za-z0-9._:/~\[\]-]+")
_IMAGE = re.compile(r"[a-z0-9](?:[A-Za-z0-9._/:@-]{0,253}[A-Za-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")

_EVERYWHERE = Address("0.0.0.0", 8443)  # noqa: S104 # clients are elsewhere
_MANAGEMENT = Address("127.0.0.1", 9100)

UID = 10001
"""User and group of the container: no user of a usual host has this number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploySettings:
    """The settings of all kinds of files; each kind uses some of them."""

    issuer: str = ""
    listen: Address = _EVERYWHERE
    management: Address = _MANAGEMENT
    certificate: Path = Path("/etc/macaroon-cbat/tls.crt")
    key: Path = Path("/etc/macaroon-cbat/tls.key")
    wrapping_key_file: Path = Path("/etc/macaroon-cbat/wrapping.key")
    database_url_file: Path | None = None
    """File with the URL of PostgreSQL for the role of the service; None for SQLite."""
    owner_database_url_file: Path | None = None
    """File with the URL for the role that owns the tables."""
    role: str = "cbat_service"
    """The role of the service in the database, whose rights the job of upgrades grants."""
    program: Path = Path("/opt/macaroon-cbat/bin/macaroon-cbat")
    user: str = "macaroon-cbat"
    workers: int = 1
    image: str = "macaroon-cbat:latest"
    namespace: str = "macaroon-cbat"
    replicas: int = 2
    targets: tuple[Address, ...] = (_MANAGEMENT,)
    uid: int = UID


def read_issuer(text: str) -> str:
    """Return the issuer's URL. Raises SettingsError unless it is a plain https URL."""
    issuer = plain_issuer(text, "--issuer")
    if not _ISSUER.fullmatch(issuer):
        raise SettingsError(
            f"--issuer {text!r} has characters that are syntax in files: use letters, digits and ._:/~- alone"
        )
    return issuer


def read_path(file: Path, option: str) -> Path:
    """Return the absolute path. Raises SettingsError for characters that could be syntax."""
    if not PLAIN_PATH.fullmatch(str(file)):
        raise SettingsError(
            f"{option} {str(file)!r} is not a usable path: name it from / on, with letters, digits and "
            "._/@+- alone"
        )
    return file


def read_target(text: str) -> Address:
    """Return the host and port that Prometheus asks. Raises SettingsError for anything else."""
    address = read_upstream(text, "--target")
    if address.path is not None:
        raise SettingsError(
            f"--target {text!r} is a Unix socket, which Prometheus cannot ask: give HOST:PORT"
        )
    return address


def read_image(text: str) -> str:
    """Return the name of a container image. Raises SettingsError for anything else."""
    return _matching(text, _IMAGE, "--image", "give one like registry.example/macaroon-cbat:1.0")


def read_namespace(text: str) -> str:
    """Return the name of a namespace of Kubernetes (RFC 1123). Raises SettingsError for anything else."""
    return _matching(text, _NAMESPACE, "--namespace", "use up to 63 small letters, digits and hyphens")


def read_role(text: str) -> str:
    """Return the name of a role of PostgreSQL. Raises SettingsError for anything else."""
    return _matching(text, _USER, "--database-role", "use up to 31 small letters, digits, _ and -")


def read_user(text: str) -> str:
    """Return the name of a user of the host. Raises SettingsError for anything else."""
    return _matching(text, _USER, "--user", "use up to 31 small letters, digits, _ and -")


def _matching(text: str, pattern: re.Pattern[str], option: str, remedy: str) -> str:
    if not pattern.fullmatch(text):
        raise SettingsError(f"{option} {text!r} is not a usable name: {remedy}")
    return text
