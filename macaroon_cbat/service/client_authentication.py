"""Who is the client? (RFC 6749 2.3, RFC 8705 2) One method a request; whatever fails looks alike."""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from urllib.parse import unquote_plus

from msgspec import Struct

from macaroon_cbat.claims import EpochSeconds
from macaroon_cbat.errors import InvalidClient, InvalidRequest
from macaroon_cbat.peer import Peer
from macaroon_cbat.service.client_certificates import ClientTrust, is_named_by
from macaroon_cbat.stores import Client
from macaroon_cbat.stores.clients import SECRET_METHODS, has_secret


class Credentials(Struct, frozen=True):
    """What a request shows of its client."""

    client_id: str
    secret: str | None
    peer: Peer

    def __repr__(self) -> str:
        """Show who it claims to be, never the secret."""
        return f"<Credentials of {self.client_id!r}>"


def presented_credentials(authorization: str | None, form: dict[str, str], peer: Peer) -> Credentials:
    """Return the credentials of a request.

    Raises InvalidRequest when it uses two methods at once, and InvalidClient when it names no client.
    """
    if authorization is None:
        if "client_id" not in form:
            raise InvalidClient("no client_id")
        return Credentials(form["client_id"], form.get("client_secret"), peer)
    client_id, secret = _basic(authorization)
    if "client_secret" in form or form.get("client_id", client_id) != client_id:
        raise InvalidRequest("use one client authentication method, not two")
    return Credentials(client_id, secret, peer)


def authenticate_client(
    credentials: Credentials, find: Callable[[str], Client | None], trust: ClientTrust, now: EpochSeconds
) -> Client:
    """Return the client that these credentials prove, or raise InvalidClient.

    client_secret_basic and client_secret_post carry the same secret: a client registered for one may
    use the other.
    """
    client = find(credentials.client_id)
    if credentials.secret is not None:
        if not has_secret(client, credentials.secret):
            raise InvalidClient(f"unknown client {credentials.client_id!r} or wrong secret")
        assert client is not None
        return client
    if client is None:
        raise InvalidClient(f"unknown client {credentials.client_id!r}")
    method = client.metadata.token_endpoint_auth_method
    if method in SECRET_METHODS:
        raise InvalidClient(f"{client.client_id} authenticates by {method}, but sent no secret")
    if credentials.peer.thumbprint is None:
        raise InvalidClient(f"{client.client_id} needs a client certificate on the connection")
    _refuse_certificate(client, credentials.peer, trust, now)
    return client


def refuse_public(client: Client) -> None:
    """Raise InvalidClient for a public client: any certificate proves it, so it proves nobody."""
    if client.metadata.token_endpoint_auth_method == "none":
        raise InvalidClient(f"{client.client_id} is a public client")


def _refuse_certificate(client: Client, peer: Peer, trust: ClientTrust, now: EpochSeconds) -> None:
    """Raise InvalidClient unless the certificate is one that this client authenticates with.

    self_signed_tls_client_auth compares with the registered certificates and checks nothing else
    (RFC 8705 2.2); a public client may use any certificate (RFC 8705 4).
    """
    metadata = client.metadata
    if metadata.token_endpoint_auth_method == "self_signed_tls_client_auth":
        if peer.thumbprint not in metadata.certificates:
            raise InvalidClient(f"{client.client_id}: {peer.thumbprint} is not registered")
    elif metadata.token_endpoint_auth_method == "tls_client_auth":
        if peer.certificate is None:
            raise InvalidClient(
                "tls_client_auth needs the certificate, and the proxy passes on its hash alone"
            )
        trusted = trust.verified(peer.certificate, now)
        if not is_named_by(trusted, metadata):
            raise InvalidClient(f"{client.client_id}: the certificate names somebody else")


def _basic(authorization: str) -> tuple[str, str]:
    """Return id and secret of HTTP Basic, each form-urlencoded inside (RFC 6749 2.3.1)."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient("the Authorization scheme is not Basic")
    try:
        client_id, colon, secret = b64decode(value.strip(), validate=True).decode().partition(":")
        client_id, secret = unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except (Base64Error, UnicodeDecodeError) as error:
        raise InvalidClient("malformed Basic credentials") from error
    if not colon or not client_id:
        raise InvalidClient("Basic credentials without a client or a secret")
    return client_id, secret
