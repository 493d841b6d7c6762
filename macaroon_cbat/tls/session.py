"""The TLS of one connection as a value converter: ciphertext in, plaintext out, and back; no sockets."""

from OpenSSL import SSL, crypto

from macaroon_cbat.thumbprint import DerCertificate
from macaroon_cbat.tls.context import NoCommonProtocolError, describe

_RECORD_BYTES = 16384
_OUTPUT_BYTES = 1 << 15


class TlsFailure(Exception):
    """The peer broke the protocol or was refused; what is left of `take_output` tells it so."""


class Session:
    """Server side of one TLS connection. Only one thread may use it: OpenSSL's objects are not safe."""

    __slots__ = ("_connection", "ended", "established", "peer_certificate")

    def __init__(self, context: SSL.Context) -> None:
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()
        self.established = False
        self.ended = False
        self.peer_certificate: DerCertificate | None = None

    def receive(self, ciphertext: bytes) -> bytes:
        """Take what the socket gave, return the plaintext in it, or raise TlsFailure.

        Sets `established` and `peer_certificate` when the handshake completes, `ended` on close_notify.
        """
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

    def _complete(self) -> None:
        self.established = True
        certificate = self._connection.get_peer_certificate()
        if certificate is not None:
            self.peer_certificate = DerCertificate(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate))

    def encrypt(self, plaintext: bytes) -> bytes:
        """Return the records that carry the plaintext, after whatever else waited to be sent."""
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
