"""The client certificate and key of this program: two files, followed, whose current content is presented."""

import itertools
import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NoReturn

from macaroon_cbat.certificate.file import LONGEST_FILE, certificates_of
from macaroon_cbat.certificate.thumbprint import DerCertificate, Thumbprint, thumbprint_of
from macaroon_cbat.client.openssl_reasons import is_not_decrypted, openssl_reason
from macaroon_cbat.client.trust import TrustedCas, server_trust
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.followed import Followed
from macaroon_cbat.files.in_memory import as_path
from macaroon_cbat.files.modes import open_private

log = logging.getLogger("macaroon_cbat.client")

_generations = itertools.count()


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

    def context_trusting(self, cas: TrustedCas) -> ssl.SSLContext:
        """Return a new client context that presents exactly this certificate and trusts these CAs."""
        context = cas.context()
        self._load_into(context)
        return context

    def _load_into(self, context: ssl.SSLContext) -> None:
        with as_path(self._chain) as chain, as_path(self._key) as key:
            # Without a callback OpenSSL would ask for the password on the terminal.
            context.load_cert_chain(chain, key, _no_password if self._password is None else self._password)


class ClientCertificate:
    """A certificate and its key in PEM files, read again when they change. Thread-safe, and safe to fork.

    The leaf comes first in `certificate`, its chain may follow; without `key`, the same file holds
    the key, which other users must not be able to use. `password` is the passphrase of an encrypted key.
    Raises SettingsError if the two cannot be loaded. Later on, while a rotation is half done, the pair that
    worked stays in use, with one warning.
    """

    def __init__(
        self, certificate: Path | str, key: Path | str | None = None, *, password: str | None = None
    ) -> None:
        self._certificate, self._key = Path(certificate), Path(key or certificate)
        self._password = password
        self._loaded: Credentials | None = None
        self._followed = Followed(
            "client certificate",
            [self._certificate, self._key],
            self._load_anew,
            log,
            is_prompt=True,
            look_seconds=0,
        )

    def __repr__(self) -> str:
        """Show the file and what was loaded of it."""
        return f"<ClientCertificate {self._certificate} {self._followed.value.thumbprint}>"

    @property
    def files(self) -> tuple[Path, Path]:
        """The file of the certificate and the file of its key; they may be one."""
        return self._certificate, self._key

    def current(self) -> Credentials:
        """Return the pair that is in the files now, or the last one that could be loaded."""
        return self._followed.current()

    def _load_anew(self) -> Credentials:
        """Return the pair in the files, the same object while their content is the same."""
        before = self._loaded
        try:
            content = self._read()
            if before is None or content != (before._chain, before._key):  # noqa: SLF001 # made here, of such
                self._loaded = self._load(*content)
        except SettingsError as error:
            if before is None:
                raise
            raise SettingsError(
                f"{error}; until then certificate {before.thumbprint} stays in use"
            ) from error
        assert self._loaded is not None
        return self._loaded

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
            if self._password is not None and b"ENCRYPTED" in key and is_not_decrypted(error):
                raise SettingsError(
                    f"the passphrase does not fit the encrypted key in {self._key}: give the one of this key"
                ) from error
            remedy = "name a PEM certificate, leaf first, and the private key that belongs to it"
            files = f"{self._certificate} with the key in {self._key}"
            raise SettingsError(f"cannot load {files} ({openssl_reason(error)}): {remedy}") from error
        return credentials


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


class _PasswordNeeded(Exception):
    pass


def _no_password() -> NoReturn:
    raise _PasswordNeeded


def client_certificate(
    certificate: ClientCertificate | Path | str | None, key: Path | str | None
) -> ClientCertificate | None:
    """Return the pair that two settings name: the first is a pair already, or its certificate's file."""
    if isinstance(certificate, ClientCertificate):
        if key is not None:
            raise SettingsError("this certificate has its key already: leave out key=")
        return certificate
    if certificate is None:
        if key is not None:
            raise SettingsError("key= is the key of a certificate: give certificate= as well")
        return None
    return ClientCertificate(certificate, key)
