"""The TLS of one connection as a value converter: ciphertext in, plaintext out, and back; no sockets."""

import logging
from contextlib import suppress

from OpenSSL import SSL, crypto

from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.tls.context import NoCommonProtocolError, describe
from macaroon_cbat.tls.error_answers import https_expected
from macaroon_cbat.tls.record_lengths import RecordLengths

_RECORD_BYTES = 16384
_OUTPUT_BYTES = 1 << 15

HANDSHAKE_BYTES = 48 * 1024
"""Room for the largest leaf, 32 KB, and a chain; OpenSSL itself would take 100 KB of certificates."""

_COPIES = 3
_CERTIFICATE_BYTES = 3 * 1024
_ORDINARY_BYTES = 24 * 1024
"""Measured: OpenSSL keeps a client's chain, parsed, as long as the connection lives. That is three times what
was sent and 3 KB a certificate. An ordinary chain is part of what every connection costs."""

_SHOWN = 8
"""Certificates beside the client's own that an application is shown."""

_RECORD_COPIES = 2
"""A record that is not whole has a buffer of its own beside the one that it came in."""


Shown = tuple[DerCertificate | None, tuple[DerCertificate, ...]]
"""The client's certificate, and the certificates that it sent beside it."""


_TLS_HANDSHAKE = 0x16
"""The first byte of a ClientHello, and of no HTTP request."""


class TlsFailure(Exception):
    """The client broke the protocol or was refused; `answer`, then `take_output`, tell it so."""

    level = logging.INFO
    answer = b""


class NotTlsError(TlsFailure):
    """The client speaks another protocol, which is told so if it is HTTP."""

    level = logging.DEBUG

    def __init__(self, beginning: bytes) -> None:
        super().__init__("it does not speak TLS")
        self.answer = https_expected() if beginning[:1].isalpha() else b""


class Session:
    """The server side of one TLS connection, for one thread alone: OpenSSL's objects are not thread-safe."""

    __slots__ = (
        "_certificates", "_connection", "_handshake_bytes", "_records", "ended", "established", "shown",
    )  # fmt: skip

    def __init__(self, context: SSL.Context) -> None:
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()
        self._handshake_bytes = 0
        self._certificates = 0
        self._records = RecordLengths()
        self.established = False
        self.ended = False
        self.shown: Shown = None, ()

    def receive(self, ciphertext: bytes) -> bytes:
        """Take what the socket gave, return the plaintext in it, or raise TlsFailure.

        Sets `established` and `shown` when the handshake completes, `ended` on close_notify.
        Raises TlsFailure also for a handshake of more than HANDSHAKE_BYTES.
        """
        self._records.received(ciphertext)
        if self.established:
            return self._decrypted(ciphertext)
        if not self._handshake_bytes and ciphertext[0] != _TLS_HANDSHAKE:
            raise NotTlsError(ciphertext)
        room = HANDSHAKE_BYTES - self._handshake_bytes
        plaintext = self._decrypted(ciphertext[:room])
        if len(ciphertext) > room:
            if not self.established:
                self._break_off()
            plaintext += self._decrypted(ciphertext[room:])
        self._count_handshake(len(ciphertext) - len(plaintext))
        return plaintext

    def _decrypted(self, ciphertext: bytes) -> bytes:
        connection = self._connection
        plaintext: list[bytes] = []
        try:
            connection.bio_write(ciphertext)
            if not self.established:
                connection.do_handshake()
                self._complete()
            while True:
                plaintext.append(connection.recv(_RECORD_BYTES))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.ended = True
        except NoCommonProtocolError as error:
            raise TlsFailure(str(error)) from error
        except SSL.Error as error:
            raise TlsFailure(describe(error)) from error
        return plaintext[0] if len(plaintext) == 1 else b"".join(plaintext)

    def _break_off(self) -> None:
        """Raise TlsFailure, with an alert to send: OpenSSL writes one about bytes that are no record."""
        with suppress(TlsFailure):
            self._decrypted(b"\xff" * (2 * _RECORD_BYTES))
        raise TlsFailure(f"the handshake is longer than {HANDSHAKE_BYTES} bytes")

    def _count_handshake(self, size: int) -> None:
        self._handshake_bytes += size - (self._records.held_bytes if self.established else 0)
        # Parsed before the handshake is complete: a client may stop there.
        if not self._certificates:
            self._certificates = len(self._connection.get_peer_cert_chain() or ())

    def held_bytes(self) -> int:
        """Return what OpenSSL keeps for this client beyond an ordinary connection, as measured."""
        chain_bytes = _COPIES * self._handshake_bytes + _CERTIFICATE_BYTES * self._certificates
        chain_bytes += sum(map(len, self.shown[1]))
        return max(0, chain_bytes - _ORDINARY_BYTES) + _RECORD_COPIES * self._records.held_bytes

    def _complete(self) -> None:
        self.established = True
        certificate = self._connection.get_peer_certificate()
        if certificate is not None:
            own = _der_of(certificate)
            sent = self._connection.get_peer_cert_chain() or []
            # The client's own is among them or not, as OpenSSL's sides and pyOpenSSL's versions have it.
            chain = [_der_of(one) for one in sent[: _SHOWN + 1]]
            self.shown = own, tuple(one for one in chain if one != own)[:_SHOWN]

    def encrypt(self, plaintext: bytes) -> bytes:
        """Return the records that carry the plaintext, after the records that waited to be sent."""
        # OpenSSL's buffer keeps the size it once had, on every connection: so one record at a time.
        records = []
        for start in range(0, len(plaintext), _RECORD_BYTES):
            try:
                self._connection.sendall(plaintext[start : start + _RECORD_BYTES])
            except SSL.Error as error:
                raise TlsFailure(describe(error)) from error
            records.append(self.take_output())
        return records[0] if len(records) == 1 else b"".join(records)

    def take_output(self) -> bytes:
        """Return the records that OpenSSL wants sent: handshake, alerts, key updates."""
        pieces: list[bytes] = []
        try:
            while not pieces or len(pieces[-1]) == _OUTPUT_BYTES:
                pieces.append(self._connection.bio_read(_OUTPUT_BYTES))
        except SSL.WantReadError:
            pass
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> bytes:
        """Return the last records: close_notify, or an alert when the handshake failed."""
        try:
            if self.established:
                self._connection.shutdown()
        except SSL.Error:
            # After a fatal alert nothing more may be said.
            pass
        return self.take_output()


def _der_of(certificate: crypto.X509) -> DerCertificate:
    return DerCertificate(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate))
