"""The TLS context of the server: its protocol versions, and what a client certificate has to prove."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from OpenSSL import SSL, crypto

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.in_memory import as_path
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.text.plain_text import LONGEST_SECRET, secret_of

_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_CERTIFICATE_BYTES = 32 * 1024
_PROTOCOLS = (b"http/1.1", b"http/1.0")


class LoadedPair(NamedTuple):
    """The context that presents a certificate, and the time in which the certificate is valid."""

    context: SSL.Context
    valid_from: datetime
    valid_until: datetime


class _Contents(NamedTuple):
    chain: bytes
    leaf: x509.Certificate
    key: bytes


class NoCommonProtocolError(Exception):
    """The client offers application protocols, but not HTTP/1.1."""


def load_pair(certificate: Path, key: Path, passphrase_file: Path | None = None) -> LoadedPair:
    """Return the server's context for a PEM chain and its key, or raise SettingsError naming the file.

    A client certificate is asked for and any is accepted: self-signed, expired, of an unknown CA.
    The handshake proves possession of its key and nothing else is checked (RFC 8705 6.2). Sessions
    cannot be resumed, so each connection proves possession anew.
    """
    checked = _checked(certificate, key, None if passphrase_file is None else _passphrase(passphrase_file))
    context = _empty_context()
    try:
        # The very bytes that were checked: the files may be replaced meanwhile.
        with as_path(checked.chain) as chain, as_path(checked.key) as private:
            context.use_certificate_chain_file(chain)
            context.use_privatekey_file(private)
    except SSL.Error as error:
        raise SettingsError(f"OpenSSL refuses {certificate} with {key}: {describe(error)}") from error
    return LoadedPair(context, checked.leaf.not_valid_before_utc, checked.leaf.not_valid_after_utc)


def _empty_context() -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(_CIPHERS)
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # Without ticket keys and without a cache no session can be found again, even if a client offers one.
    context.set_options(SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    # OpenSSL answers a resumption attempt with a fatal alert when it asks for certificates without this.
    context.set_session_id(b"macaroon_cbat")
    context.set_verify(SSL.VERIFY_PEER, _accept_any_certificate)
    # A client may send a hundred certificates; no signature above the leaf is of interest.
    context.set_verify_depth(0)
    context.set_alpn_select_callback(_choose_protocol)
    return context


def _accept_any_certificate(
    _connection: SSL.Connection, certificate: crypto.X509, _error: int, depth: int, _preverified: int
) -> bool:
    return depth > 0 or len(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)) <= _CERTIFICATE_BYTES


def _choose_protocol(_connection: SSL.Connection, offered: list[bytes]) -> bytes:
    for protocol in _PROTOCOLS:
        if protocol in offered:
            return protocol
    # pyOpenSSL turns an exception into the fatal alert no_application_protocol (RFC 7301 3.2);
    # its NO_OVERLAPPING_PROTOCOLS would go on as if the client had not asked.
    raise NoCommonProtocolError("the client speaks no HTTP/1.1")


def _passphrase(file: Path) -> bytes:
    try:
        with open_private(file, "passphrase file") as stream:
            return secret_of(stream.read(LONGEST_SECRET + 1), f"the passphrase file {file}").encode()
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}") from error


def _checked(certificate: Path, key: Path, passphrase: bytes | None) -> _Contents:
    """Return what is in the files, or raise SettingsError that names the file."""
    chain = _content(certificate)
    try:
        leaf = x509.load_pem_x509_certificate(chain)
    except ValueError as error:
        raise SettingsError(
            f"{certificate} is not a PEM certificate: name the server's certificate"
        ) from error
    private = _private_key(key, certificate, passphrase)
    if private.public_key() != leaf.public_key():
        raise SettingsError(
            f"{key} is not the private key of {certificate}: name two files that belong together"
        )
    if leaf.not_valid_after_utc < datetime.now(UTC):
        raise SettingsError(f"{certificate} expired on {leaf.not_valid_after_utc:%Y-%m-%d}: renew it")
    decrypted = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _Contents(chain, leaf, decrypted)


def _private_key(key: Path, certificate: Path, passphrase: bytes | None) -> PrivateKeyTypes:
    try:
        with open_private(key, "private key") as stream:
            content = stream.read()
        # A passphrase for a key that needs none is no mistake: renewal tools write keys either way.
        return serialization.load_pem_private_key(content, passphrase if b"ENCRYPTED" in content else None)
    except OSError as error:
        raise SettingsError(f"cannot read {key}: {error.strerror}; name the server's private key") from error
    except TypeError as error:
        raise SettingsError(
            f"{key} is encrypted: name its passphrase with --key-passphrase-file, or a key without one"
        ) from error
    except ValueError as error:
        if passphrase is not None:
            raise SettingsError(f"{key} does not open: name its passphrase, and a PEM private key") from error
        raise SettingsError(f"{key} is not a PEM private key: name the key of {certificate}") from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}; name the server's certificate") from error


def describe(error: SSL.Error) -> str:
    """Return OpenSSL's own words for an error; the client has written none of them."""
    reasons = error.args[0] if error.args else None
    if isinstance(reasons, list) and reasons:
        return str(reasons[-1][-1])
    return str(error.args[-1]) if error.args else type(error).__name__
