"""The holder's side of `requests`: an auth that binds each request, and connections that match it.

    auth = MacaroonAuth(TokenClient(issuer=..., client_id=...), ClientCertificate("client.pem", "client.key"))
    with certificate_session(auth, ca="ca.pem") as session:
        session.get("https://api.example/invoices")

Child and connection never disagree: the auth leaves on the request which credentials it bound the
child to, and the adapter takes the connection from the pool of these very credentials. A rotation
between the two, or between two requests, changes both together.
"""

from pathlib import Path
from typing import Any, Self

from macaroon_cbat.client.certificate import ClientCertificate, Credentials
from macaroon_cbat.client.children import ChildTerms
from macaroon_cbat.client.holder import Bound, Holder, TokenSource, is_rejected
from macaroon_cbat.client.https import ContextAdapter
from macaroon_cbat.client.pools import Pools
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import extra

with extra("requests"):
    import requests
    from requests.adapters import BaseAdapter
    from requests.auth import AuthBase


class _Authorization(str):
    """A header value that knows what it was made of.

    `requests` copies headers and nothing else to a redirected request, and drops this one when the
    redirect leads to another origin: so what is said here is true exactly as long as it is sent.
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


class MacaroonAuth(AuthBase):
    """Attaches to every request a fresh child of the token, bound to the certificate in use.

    `lifetime` counts seconds; `audience` is needed only for a token of none or several; with
    `bind_request` the child is good for the method and target of its request only. Raises
    SettingsError for http:// and for a token that is bound to another certificate. A request whose
    body can be sent again is tried once more with a fresh token when the resource server answers
    401 invalid_token and the source has another one.
    """

    def __init__(
        self,
        token: TokenSource,
        certificate: ClientCertificate,
        *,
        lifetime: int = 60,
        audience: str | None = None,
        bind_request: bool = False,
    ) -> None:
        self._holder = Holder(token, certificate, ChildTerms(lifetime, audience, bind_request))
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
        is_replayable = request.body is None or isinstance(request.body, (str, bytes))
        if not isinstance(authorization, _Authorization) or not is_replayable:
            return response
        if not is_rejected(response.status_code, response.headers.get("WWW-Authenticate")):
            return response
        bound = self._holder.bind_anew(authorization.bound)
        if bound is None:
            return response
        _ = response.content  # read to its end, the connection can be used again
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
    end with their last response. Servers are always verified: against `ca`, a PEM file, or the
    system's CAs. The `verify` and `cert` of `requests` have no say here, and what would weaken or
    contradict this is a SettingsError.
    """

    def __init__(self, certificate: ClientCertificate, ca: Path | str | None = None) -> None:
        super().__init__()
        self._certificate = certificate
        self._pools = Pools(lambda credentials: ContextAdapter(credentials.context(ca)))

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
        credentials = self._credentials(request)
        adapter, over = self._pools.lease(credentials)
        try:
            _close(over)
            response = adapter.send(request, *args, **options)
        finally:
            _close(self._pools.give_back(credentials))
        response.connection = self  # type: ignore[assignment] # any adapter will do
        return response

    def close(self) -> None:
        """Close all connections."""
        _close(self._pools.take_all())

    def _credentials(self, request: requests.PreparedRequest) -> Credentials:
        authorization = request.headers.get("Authorization")
        if not isinstance(authorization, _Authorization):
            return self._certificate.current()
        bound = authorization.bound.for_request(str(request.method), str(request.url))
        request.headers["Authorization"] = _Authorization(bound)
        return bound.credentials


def certificate_session(auth: MacaroonAuth, ca: Path | str | None = None) -> requests.Session:
    """Return a session whose requests carry children and whose connections present their certificate."""
    session = requests.Session()
    session.auth = auth
    session.mount("https://", CertificateAdapter(auth.certificate, ca))
    return session


def _close(adapters: list[ContextAdapter]) -> None:
    for adapter in adapters:
        adapter.close()
