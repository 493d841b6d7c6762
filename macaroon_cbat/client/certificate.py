"""The holder's certificate and key on disk, watched: whatever is there now is what the next request uses."""

import itertools
import logging
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NoReturn

from macaroon_cbat.certificate.file import LONGEST_FILE, certificates_of
from macaroon_cbat.certificate.thumbprint import DerCertificate, Thumbprint, thumbprint_of
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.in_memory import as_path
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.files.process_values import ProcessLock

log = logging.getLogger("macaroon_cbat.client")

_STAT_TICK = 50_000_000
"""Nanoseconds within which a file may change twice without its stat showing it."""
_generations = itertools.count()

_Seen = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Credentials:
    """One certificate and its key, as they were on disk at one moment.

    What the thumbprint was taken of and what `context` loads are the same bytes in memory, so a
    file that changes meanwhile cannot come between them. A greater `generation` was loaded later.
    """

    certificate: DerCertificate = field(repr=False)
    thumbprint: Thumbprint
    generation: int
    _chain: bytes = field(repr=False)
    _key: bytes = field(repr=False)
    _password: str | None = field(repr=False)

    def context(self, ca: Path | str | None = None) -> ssl.SSLContext:
        """Return a new client context that presents exactly this certificate and trusts `ca`.

        Contexts share no TLS session: a resumed one would show the server another certificate, or none.
        """
        context = server_trust(ca)
        self._load_into(context)
        return context

    def _load_into(self, context: ssl.SSLContext) -> None:
        with as_path(self._chain) as chain, as_path(self._key) as key:
            # Without a callback OpenSSL would ask for the password on the terminal.
            context.load_cert_chain(chain, key, _no_password if self._password is None else self._password)


class ClientCertificate:
    """A certificate and its key in PEM files, read again when they change. Thread-safe.

    The leaf comes first in `certificate`, its chain may follow; without `key`, the same file holds
    the key, which other users must not be able to use. Raises SettingsError when the two cannot be
    loaded. Later on, a half-done rotation keeps the pair that worked, with one warning, and the next
    call tries again.
    """

    def __init__(
        self, certificate: Path | str, key: Path | str | None = None, *, password: str | None = None
    ) -> None:
        self._certificate, self._key = Path(certificate), Path(key or certificate)
        self._password = password
        self._lock = ProcessLock()
        self._is_warned = False
        self._state = self._look(), self._load(*self._read())

    def __repr__(self) -> str:
        """Show the file and what was loaded of it."""
        return f"<ClientCertificate {self._certificate} {self._state[1].thumbprint}>"

    def current(self) -> Credentials:
        """Return the pair that is on disk, or the last one that could be loaded."""
        seen, credentials = self._state
        if seen is not None and seen == self._look():
            return credentials
        with self._lock.current():
            self._refresh()
            return self._state[1]

    def _refresh(self) -> None:
        credentials = self._state[1]
        seen = self._look()  # before reading: a change from here on shows at the next call
        try:
            content = self._read()
            if content != (credentials._chain, credentials._key):  # noqa: SLF001 # made here, of such content
                credentials = self._load(*content)
        except SettingsError as error:
            if not self._is_warned:
                log.warning("%s; until then certificate %s stays in use", error, credentials.thumbprint)
            self._is_warned = True
            return
        self._is_warned = False
        self._state = seen, credentials

    def _look(self) -> _Seen | None:
        """Return what tells apart two states of the files, or None when only their content can."""
        try:
            stats = [path.stat() for path in (self._certificate, self._key)]
        except OSError:
            return None
        now = time.time_ns()
        if any(abs(now - max(stat.st_mtime_ns, stat.st_ctime_ns)) < _STAT_TICK for stat in stats):
            return None
        return tuple((stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino) for stat in stats)

    def _read(self) -> tuple[bytes, bytes]:
        """Return the certificates of the one file, as PEM with the leaf first, and the other file."""
        is_one = self._certificate == self._key
        try:
            if is_one:
                _refuse_keyless(self._certificate)
            key = _content(open_private(self._key, "private key"))
            content = key if is_one else _content(self._certificate.open("rb"))
        except OSError as error:
            raise SettingsError(
                f"cannot read {error.filename}: {error.strerror}; name the client certificate and its key"
            ) from error
        # OpenSSL gets nothing but what is hashed here, in the plainest spelling.
        try:
            chain = certificates_of(content, str(self._certificate))
        except ValueError as error:
            raise SettingsError(str(error)) from error
        return "".join(map(ssl.DER_cert_to_PEM_cert, chain)).encode(), key

    def _load(self, chain: bytes, key: bytes) -> Credentials:
        try:
            leaf = certificates_of(chain, str(self._certificate))[0]
            credentials = Credentials(
                leaf, thumbprint_of(leaf), next(_generations), chain, key, self._password
            )
            credentials._load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))  # noqa: SLF001
        except _PasswordNeeded:
            remedy = "give its passphrase (--key-passphrase-file, in Python password=), or a key without one"
            raise SettingsError(f"the key in {self._key} is encrypted: {remedy}") from None
        except (ssl.SSLError, ValueError) as error:
            if self._password is not None and b"ENCRYPTED" in key and _is_not_decrypted(error):
                raise SettingsError(
                    f"the passphrase does not fit the encrypted key in {self._key}: give the one of this key"
                ) from error
            remedy = "name a PEM certificate, leaf first, and the private key that belongs to it"
            files = f"{self._certificate} with the key in {self._key}"
            raise SettingsError(f"cannot load {files} ({_reason(error)}): {remedy}") from error
        return credentials


def server_trust(ca: Path | str | None) -> ssl.SSLContext:
    """Return a new client context that trusts the CAs in the PEM file `ca`, or else the system's.

    Raises SettingsError when the file holds none. The server's certificate and name are verified.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        reason = f"cannot load CA certificates from {ca} ({_reason(error)})"
        raise SettingsError(f"{reason}: name a PEM file with the CA of the server") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _content(file: BinaryIO) -> bytes:
    """Return what is in a file; of a larger one than any certificate or key, enough to see that."""
    with file:
        return file.read(LONGEST_FILE + 1)


def _refuse_keyless(file: Path) -> None:
    """Raise SettingsError for a certificate alone: that others can read it is no fault of its file."""
    content = _content(file.open("rb"))
    if b"PRIVATE KEY-----" in content:
        return
    try:
        certificates_of(content, str(file))
    except ValueError:
        return  # what is wrong with the certificate is said where it is loaded
    raise SettingsError(f"{file} holds a certificate without its key: name the key's file too (--key)")


def _is_not_decrypted(error: Exception) -> bool:
    """Return True for what OpenSSL says of a wrong passphrase: without a reason, or that it is a bad one."""
    return isinstance(error, ssl.SSLError) and error.reason in (None, "BAD_DECRYPT", "PEM_LIB")


class _PasswordNeeded(Exception):
    pass


def _no_password() -> NoReturn:
    raise _PasswordNeeded


_WORDS = {
    "KEY_VALUES_MISMATCH": "the key belongs to another certificate",
    "NO_CERTIFICATE_OR_CRL_FOUND": "it holds no certificate",
    "NO_START_LINE": "it holds none in PEM",
}
"""The reasons of OpenSSL that people meet, in words."""


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return _WORDS.get(str(reason)) or str(reason or getattr(error, "strerror", None) or error)
