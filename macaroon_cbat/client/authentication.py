"""The authentication of a client at the service (RFC 6749 2.3, RFC 8705 2)."""

from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

from macaroon_cbat.client.secret import ClientSecret


class ClientAuthentication:
    """One client's identity: client_secret_basic with a secret, otherwise its name beside a certificate.

    A secret in a file is followed when the file is replaced.
    """

    def __init__(self, client_id: str, secret: str | Path | None) -> None:
        """Authenticate as this client; a Path is the file that holds the secret. May raise SettingsError."""
        self.client_id = client_id
        self._secret = None if secret is None else ClientSecret(secret)

    def authorization(self) -> str | None:
        """Return the Authorization field of a client with a secret (RFC 6749 2.3.1)."""
        if self._secret is None:
            return None
        # A space is %20, which both kinds of decoders read.
        pair = ":".join(quote(text, safe="") for text in (self.client_id, self._secret.current()))
        return f"Basic {b64encode(pair.encode()).decode()}"

    def form(self) -> dict[str, str]:
        """Return the form members that name the client, where no Authorization field does."""
        return {"client_id": self.client_id} if self._secret is None else {}

    def is_secret_replaced(self) -> bool:
        """Return True if the file holds another secret than was sent, which is sent from now on."""
        return self._secret is not None and self._secret.is_replaced()
