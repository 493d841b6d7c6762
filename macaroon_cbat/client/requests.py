"""The holder's side of `requests`: an auth that binds each request, and connections that match it.

    auth = MacaroonAuth(TokenClient(issuer=..., client_id=...), ClientCertificate("client.pem", "client.key"))
    with certificate_session(auth, ca="ca.pem") as session:
        session.get("https://api.example/invoices")

Child and connection never disagree: the auth leaves on the request which credentials it bound the child to,
and the adapter takes the connection from the pool of these very credentials. A rotation between the two, or
between two requests, changes both together. The request raises over any other adapter.
"""

import ssl
from pathlib import Path
from typing import Any, NoReturn, Self, Unpack

from macaroon_cbat.client.certificate import ClientCertificate
from macaroon_cbat.client.children import ChildSettings
from macaroon_cbat.client.discharges import DischargeClient
from macaroon_cbat.client.holder import Bound, Holder, TokenSource, is_rejected, outside_session
from macaroon_cbat.client.pools import Key, PoolKey, Pools
from macaroon_cbat.client.trust import ServerTrust
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import extra

with extra("requests"):
    import requests
    from requests.adapters import BaseAdapter, HTTPAdapter
    from requests.auth import AuthBase


class _Authorization(str):
    """A header value with the parts that it was made of, which only a CertificateAdapter can send.

    `requests` copies headers and nothing else to a redirected request, and drops this one when the
    redirect leads to another origin. So `bound` belongs to the request for as long as the header does.
    """

    __slots__ = ("bound",)
    bound: Bound

    def __new__(cls, bound: Bound) -> Self:
        value = super().__new__(cls, bound.authorization)
        value.bound = bound
        return value

    def __repr__(self) -> str:
        """Show no token: `request.headers` is printed easily."""
        return f"<Bearer token bound to {self.bound.credentials.thumbprint}>"

    def encode(self, *_encoding: object, **_errors: object) -> NoReturn:
        """Raise SettingsError: `http.client` calls this just before it sends the header."""
        raise outside_session("certificate_session")


class MacaroonAuth(AuthBase):
    """Attaches to every request a fresh child of the token, bound to the certificate in use.

    The settings are those of ChildTerms. `discharges` collects what a token with third-party caveats
    needs, and each request carries it, bound to its child. Raises SettingsError for http://, for a token
    that is bound to another certificate, and over a connection that does not present the certificate. A
    request whose body can be sent again is tried once more with a fresh token when the resource server
    answers 401 invalid_token and the source has another one.
    """

    def __init__(
        self,
        token: TokenSource,
        certificate: ClientCertificate,
        *,
        discharges: DischargeClient | None = None,
        **settings: Unpack[ChildSettings],
    ) -> None:
        self._holder = Holder(token, certificate, discharges, **settings)
        self.certificate = certificate

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Attach the child."""
        r.headers["Authorization"] = _Authorization(self._holder.bind(str(r.method), str(r.url)))
        r.hooks["response"].append(self._retry)
        return r

    def _retry(self, response: requests.Response, **options: Any) -> requests.Response:
        request = response.request
        authorization = request.headers.get("Authorization")
        self._hear(response)
        if not isinstance(authorization, _Authorization) or not is_replayable(request):
            return response
        if not is_rejected(response.status_code, response.headers.get("WWW-Authenticate")):
            return response
        bound = self._holder.bind_anew(authorization.bound)
        if bound is None:
            return response
        response.close()  # and not read to its end: a body may have none
        again = request.copy()
        again.headers["Authorization"] = _Authorization(bound)
        # The adapter calls no hooks, so this happens once.
        retried: requests.Response = response.connection.send(again, **options)
        retried.history.append(response)
        self._hear(retried)
        return retried

    def _hear(self, response: requests.Response) -> None:
        authorization, headers = response.request.headers.get("Authorization"), response.headers
        if isinstance(authorization, _Authorization):
            self._holder.hear(authorization.bound, response.url, headers.get("Date"), headers.get("Age"))


class CertificateAdapter(BaseAdapter):
    """Sends each request over a connection that presents the certificate its child is bound to.

    Requests without a child present the current certificate. After a rotation the old connections
    end with their last response. Servers are always verified: against `ca`, a PEM file that is followed
    when it is replaced, or the system's CAs. The `verify` and `cert` of `requests` are not used: what would
    weaken or contradict this raises SettingsError.
    """

    def __init__(self, certificate: ClientCertificate, ca: Path | str | None = None) -> None:
        super().__init__()
        self._certificate = certificate
        self._trust = ServerTrust(ca)
        self.pools: Pools[PoolKey, ContextAdapter] = Pools(lambda key: ContextAdapter(key.context()))
        """The connection pools by certificate; their number is that of the certificates in use."""

    def send(
        self,
        request: requests.PreparedRequest,
        *args: Any,
        verify: Any = True,
        cert: Any = None,
        **options: Any,
    ) -> requests.Response:
        """Send the request; a child that a redirect led elsewhere is made anew for where it goes."""
        if verify is False or cert:
            raise SettingsError("a certificate session takes neither verify=False nor cert=: give it a ca")
        sent, key = self._prepared(request)
        response = send_leased(self.pools, key, sent, *args, **options)
        response.request = request
        response.connection = self  # type: ignore[assignment] # any adapter will do
        return response

    def close(self) -> None:
        """Close all connections."""
        close_adapters(self.pools.take_all())

    def _prepared(self, request: requests.PreparedRequest) -> tuple[requests.PreparedRequest, PoolKey]:
        """Return a copy of the request that can be sent, and the pool whose connections match it."""
        authorization = request.headers.get("Authorization")
        if not isinstance(authorization, _Authorization):
            return request, PoolKey(self._certificate.current(), self._trust.current())
        bound = authorization.bound.for_request(str(request.method), str(request.url))
        credentials = bound.credentials_in(self._certificate)
        request.headers["Authorization"] = _Authorization(bound)
        sent = request.copy()
        sent.headers["Authorization"] = bound.authorization
        sent.headers.update(bound.further_headers)  # on the copy alone: no redirect carries them elsewhere
        return sent, PoolKey(credentials, self._trust.current())


class ContextAdapter(HTTPAdapter):
    """Makes every connection with this context, which alone says whom to trust and what to present."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Name the context, through which urllib3 also tells pools apart."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._context}

    def cert_verify(self, *_args: object, **_kwargs: object) -> None:
        """Add nothing to the context: requests would load its own CAs into it at each connection."""


def certificate_session(auth: MacaroonAuth, ca: Path | str | None = None) -> requests.Session:
    """Return a session whose requests carry children and whose connections present their certificate.

    `ca` is a PEM file with the CA of the resource servers, by default the system's CAs.
    """
    session = requests.Session()
    session.auth = auth
    session.mount("https://", CertificateAdapter(auth.certificate, ca))
    return session


def is_replayable(request: requests.PreparedRequest) -> bool:
    """Return True if the body of the request can be sent again."""
    return request.body is None or isinstance(request.body, (str, bytes))


def send_leased(
    pools: Pools[Key, ContextAdapter], key: Key, request: requests.PreparedRequest, *args: Any, **options: Any
) -> requests.Response:
    """Send the request over a connection of this key and process, and close those that are over."""
    adapter, over = pools.lease(key)
    try:
        close_adapters(over)
        response: requests.Response = adapter.send(request, *args, **options)
    finally:
        close_adapters(pools.give_back(key))
    return response


def close_adapters(adapters: list[ContextAdapter]) -> None:
    """Close the connections of each."""
    for adapter in adapters:
        adapter.close()
