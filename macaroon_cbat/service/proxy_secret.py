"""The trusted proxies of the service, whose secret is in a file that may be replaced."""

import logging
from collections.abc import Sequence
from pathlib import Path

from macaroon_cbat.certificate.forwarded import TrustedProxies, trusted_proxies
from macaroon_cbat.certificate.source import RequestConnection
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.followed import Followed
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.text.plain_text import LONGEST_SECRET, secret_of

log = logging.getLogger("macaroon_cbat.service")


class ProxiesWithSecretFile:
    """TrustedProxies by the secret that the file holds now: the one before is worth nothing any more."""

    def __init__(self, texts: Sequence[str], file: Path) -> None:
        """Read the file, or raise SettingsError."""
        self._texts, self._file = texts, file
        self.followed = Followed("proxy's secret", [file], self._read, log)

    def distrust(self, connection: RequestConnection, /) -> str | None:
        """Return why the sender of a request is not a trusted proxy, or None when it is one."""
        return self.followed.current().distrust(connection)

    def _read(self) -> TrustedProxies:
        try:
            with open_private(self._file, "secret file") as stream:
                content = stream.read(LONGEST_SECRET + 1)
        except OSError as error:
            raise SettingsError(
                f"MACAROON_CBAT_PROXY_SECRET_FILE: {self._file} cannot be read: {error.strerror}"
            ) from error
        secret = secret_of(content, f"the secret file {self._file} of MACAROON_CBAT_PROXY_SECRET_FILE")
        try:
            return trusted_proxies(self._texts, secret=secret)
        except SettingsError as error:
            raise SettingsError(f"MACAROON_CBAT_TRUSTED_PROXIES or its secret: {error}") from error
