"""The proxy in front of the service: its settings, and the secret in a file that may be replaced."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from macaroon_cbat.certificate.forwarded import Forwarded, Trust, TrustedProxies, trusted_proxies
from macaroon_cbat.certificate.source import CertificateSource, RequestConnection, tls_connection
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.followed import Followed
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.service.variables import PREFIX, Setting, variables_of
from macaroon_cbat.text.plain_text import LONGEST_SECRET, secret_of

log = logging.getLogger("macaroon_cbat.service")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """The proxy that terminates TLS: how it forwards client certificates, and what makes it trusted."""

    certificate_format: Annotated[
        str | None,
        Setting(
            meaning="how the proxy in front forwards client certificates",
            shape="a format such as nginx or rfc9440",
            default="no proxy",
        ),
    ] = None
    certificate_header: Annotated[
        str | None,
        Setting(meaning="the header that it uses", shape="the name of a header", default="as the format"),
    ] = None
    certificate_companion: Annotated[
        str | None,
        Setting(
            meaning="the header beside it that says whether there is one",
            shape="the name of a header",
            default="as the format",
        ),
    ] = None
    trusted_proxies: Annotated[
        str | None,
        Setting(
            meaning="the proxies that may do so",
            shape="unix, secret, x5t#S256=THUMBPRINT or networks, with commas between",
            default="no proxy",
        ),
    ] = None
    proxy_secret_file: Annotated[
        Path | None,
        Setting(
            meaning="file with the secret that the proxy must send as Proxysecret",
            shape="a private file",
            default="no secret",
        ),
    ] = None

    def certificate_source(self) -> CertificateSource:
        """Return the source of client certificates: the TLS connection itself unless a proxy is named.

        Raises SettingsError for a proxy that is named by halves, and for unusable values.
        """
        if all(getattr(self, one.field) is None for one in variables_of(type(self))):
            return tls_connection
        certificate_format, proxies = _both(self.certificate_format, self.trusted_proxies)
        trust = _trust(proxies.split(","), self.proxy_secret_file)
        try:
            return Forwarded(
                certificate_format,
                trust=trust,
                header=self.certificate_header,
                companion=self.certificate_companion,
            )
        except SettingsError as error:
            raise SettingsError(f"{PREFIX}CERTIFICATE_FORMAT, _HEADER or _COMPANION: {error}") from error


def _both(certificate_format: str | None, proxies: str | None) -> tuple[str, str]:
    if certificate_format is None:
        raise SettingsError(_needed("CERTIFICATE_FORMAT"))
    if proxies is None:
        raise SettingsError(_needed("TRUSTED_PROXIES"))
    return certificate_format, proxies


def _needed(name: str) -> str:
    [setting] = [one.setting for one in variables_of(ProxySettings) if one.name == name]
    return f"{PREFIX}{name} must be set behind a proxy: name {setting.shape}"


def _trust(proxies: list[str], secret_file: Path | None) -> Trust:
    if secret_file is not None:
        return ProxiesWithSecretFile(proxies, secret_file)
    try:
        return trusted_proxies(proxies)
    except SettingsError as error:
        raise SettingsError(f"{PREFIX}TRUSTED_PROXIES or its secret: {error}") from error


class ProxiesWithSecretFile:
    """TrustedProxies by the secret that the file holds now; the secret before is not accepted any more."""

    def __init__(self, texts: Sequence[str], file: Path) -> None:
        """Read the file, or raise SettingsError."""
        self._texts, self._file = texts, file
        self.followed = Followed("proxy's secret", [file], self._read, log)

    def distrust(self, connection: RequestConnection, /) -> str | None:
        """Return why the sender of a request is not a trusted proxy, or None if it is one."""
        return self.followed.current().distrust(connection)

    def _read(self) -> TrustedProxies:
        try:
            with open_private(self._file, "secret file") as stream:
                content = stream.read(LONGEST_SECRET + 1)
        except OSError as error:
            raise SettingsError(
                f"{PREFIX}PROXY_SECRET_FILE: {self._file} cannot be read ({error.strerror}): "
                "write the secret into it"
            ) from error
        secret = secret_of(content, f"the secret file {self._file} of {PREFIX}PROXY_SECRET_FILE")
        try:
            return trusted_proxies(self._texts, secret=secret)
        except SettingsError as error:
            raise SettingsError(f"{PREFIX}TRUSTED_PROXIES or its secret: {error}") from error
