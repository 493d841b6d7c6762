"""Clients of OAuth in Python that others wrote, Authlib and requests_oauth2client, with one face for tests.

Each discovers the endpoints by the metadata (RFC 8414), and talks over connections with a client certificate.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from requests_oauth2client import (
    BearerToken,
    ClientSecretBasic,
    OAuth2Client,
    PublicApp,
    oauth2_discovery_document_url,
)
from requests_oauth2client import exceptions as refusals

from tests.support.browsers import VERIFIER

CALLBACK = "http://127.0.0.1:51234/callback"

Walk = Callable[[str], str]
"""Opens a URL in a browser in which a person logs in; returns the URL of the callback."""


class AuthlibClient:
    """Authlib's OAuth2Session."""

    def __init__(self, issuer: str, ca: Path, certificate: Path, client_id: str, secret: str) -> None:
        """Discover the service."""
        self.session = OAuth2Session(
            client_id, secret or None, redirect_uri=CALLBACK, code_challenge_method="S256"
        )
        _over_mutual_tls(self.session, ca, certificate)
        where = get_well_known_url(issuer, external=True, suffix="oauth-authorization-server")
        self.metadata = AuthorizationServerMetadata(self.session.get(where, withhold_token=True).json())
        self.metadata.validate()

    def client_credentials(self, **form: str) -> dict[str, Any]:
        """Get a token in the client's own name."""
        return self._token(grant_type="client_credentials", **form)

    def log_in(self, walk: Walk, **form: str) -> dict[str, Any]:
        """Get a token in the name of a person."""
        url, state = self.session.create_authorization_url(
            self.metadata["authorization_endpoint"], code_verifier=VERIFIER, **form
        )
        return self._token(authorization_response=walk(url), state=state, code_verifier=VERIFIER)

    def refresh(self, token: str) -> dict[str, Any]:
        """Use a refresh token."""
        return dict(self.session.refresh_token(self.metadata["token_endpoint"], refresh_token=token))

    def introspect(self, token: str) -> dict[str, Any]:
        """Ask about a token."""
        answer = self.session.introspect_token(self.metadata["introspection_endpoint"], token=token)
        members: dict[str, Any] = answer.json()
        return members

    def revoke(self, token: str) -> None:
        """Revoke a token."""
        answer = self.session.revoke_token(self.metadata["revocation_endpoint"], token=token)
        assert answer.status_code == 200, answer.text

    def _token(self, **asked: str) -> dict[str, Any]:
        return dict(self.session.fetch_token(self.metadata["token_endpoint"], **asked))


class RequestsClient:
    """An OAuth2Client of requests_oauth2client: with DPoP where it is told so, and with PAR."""

    def __init__(
        self, issuer: str, ca: Path, certificate: Path, client_id: str, secret: str, **options: bool
    ) -> None:
        """Discover the service."""
        session = requests.Session()
        _over_mutual_tls(session, ca, certificate)
        document = session.get(oauth2_discovery_document_url(issuer)).json()
        self.library = OAuth2Client.from_discovery_document(
            document,
            issuer,
            auth=ClientSecretBasic(client_id, secret) if secret else PublicApp(client_id),
            session=session,
            redirect_uri=CALLBACK,
            device_authorization_endpoint=document["device_authorization_endpoint"],  # not read by itself
            **options,
        )

    def client_credentials(self, **form: str) -> dict[str, Any]:
        """Get a token in the client's own name."""
        return self.library.client_credentials(**form).as_dict()

    def log_in(self, walk: Walk, **form: str) -> dict[str, Any]:
        """Get a token in the name of a person."""
        return self.token_of_a_person(walk, **form).as_dict()

    def token_of_a_person(self, walk: Walk, *, pushed: bool = False, **form: str) -> BearerToken:
        """Return the library's own token of a person, which remembers its DPoP key."""
        request = self.library.authorization_request(**form)
        sent = self.library.pushed_authorization_request(request) if pushed else request
        return self.library.authorization_code(request.validate_callback(walk(sent.uri)))

    def refresh(self, token: str) -> dict[str, Any]:
        """Use a refresh token."""
        return self.library.refresh_token(token).as_dict()

    def introspect(self, token: str) -> dict[str, Any]:
        """Ask about a token."""
        members: dict[str, Any] = self.library.introspect_token(token)
        return members

    def revoke(self, token: str) -> None:
        """Revoke a token."""
        assert self.library.revoke_token(token)


PythonClient = AuthlibClient | RequestsClient


def refused_as(error: BaseException) -> str:
    """Return the code of the refusal that either library raised."""
    assert isinstance(error, OAuthError | refusals.EndpointError)
    return str(error.error)


def _over_mutual_tls(session: requests.Session, ca: Path, certificate: Path) -> None:
    session.verify, session.cert, session.trust_env = str(ca), str(certificate), False
