"""The certificate that a server presents, from files that it follows."""

import logging
from datetime import UTC, datetime
from pathlib import Path

from OpenSSL import SSL

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.followed import Followed
from macaroon_cbat.tls.context import LoadedPair, load_pair

log = logging.getLogger("macaroon_cbat.tls")


class ServerCertificate:
    """A certificate chain and its key from two files; new connections get the last valid pair."""

    def __init__(self, certificate: Path, key: Path, passphrase_file: Path | None = None) -> None:
        """Load the files, or raise SettingsError."""
        self._certificate, self._key, self._passphrase_file = certificate, key, passphrase_file
        files = [certificate, key, *([] if passphrase_file is None else [passphrase_file])]
        self._loaded: LoadedPair | None = None
        self._is_expiry_said = False
        self.followed = Followed("server certificate", files, self._load, log)

    @property
    def context(self) -> SSL.Context:
        """The context for a new connection; connections that there are keep theirs."""
        return self.followed.value.context

    @property
    def expires(self) -> int:
        """The expiry of the certificate, in seconds since the epoch."""
        return int(self.followed.value.valid_until.timestamp())

    def look(self, *, anyway: bool = False) -> bool:
        """Return True if another certificate is in force now, as `Followed.look` says."""
        is_new, is_quiet = self.followed.look(anyway=anyway), self.followed.is_quiet
        until = self.followed.value.valid_until
        if is_new:
            self._is_expiry_said = False
        if is_new and not is_quiet:
            log.info("presenting %s to new connections, valid until %s", self._certificate, _utc(until))
        if until < datetime.now(UTC) and not self._is_expiry_said:
            self._is_expiry_said = True
            if not is_quiet:
                log.error(
                    "the server certificate %s expired on %s and clients refuse it: replace the file, which "
                    "is followed",
                    self._certificate,
                    _utc(until),
                )
        return is_new

    def _load(self) -> LoadedPair:
        """Return what is in the files. A replacement must be valid already; clients would refuse it."""
        loaded = load_pair(self._certificate, self._key, self._passphrase_file)
        is_replacement = self._loaded is not None
        if is_replacement and loaded.valid_from > datetime.now(UTC):
            raise SettingsError(
                f"{self._certificate} is not valid before {_utc(loaded.valid_from)}: wait, or set the clock"
            )
        self._loaded = loaded
        return loaded


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
