"""The holder's side of `requests` by a DPoP key: an auth, and a session that proves each request.

    auth = DpopAuth(TokenClient(issuer=..., client_id=...), DpopKey.load("dpop.key"))
    with dpop_session(auth, ca="ca.pem") as session:
        session.get("https://api.example/invoices")

Child and proof are made when a request is sent, for the method and URL that it then has: a redirect and a
request that is sent again get their own. A redirect to another origin gets neither.
"""

from pathlib import Path
from typing import Any, NoReturn, Self, Unpack

from macaroon_cbat.client.children import ChildSettings
from macaroon_cbat.client.discharges import DischargeClient
from macaroon_cbat.client.dpop_holder import PLACEHOLDER, DpopHolder, outside_session
from macaroon_cbat.client.dpop_key import ProofKey
from macaroon_cbat.client.holder import TokenSource
from macaroon_cbat.client.pools import Pools
from macaroon_cbat.client.requests import ContextAdapter, close_adapters, is_replayable, send_leased
from macaroon_cbat.client.trust import ServerTrust, TrustedCas
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import extra

with extra("requests"):
    import requests
    from requests.adapters import BaseAdapter
    from requests.auth import AuthBase


class _Held(str):
    """The value of Authorization until the request is sent; `requests` drops it for another origin."""

    __slots__ = ("holder",)
    holder: DpopHolder

    def __new__(cls, holder: DpopHolder) -> Self:
        value = super().__new__(cls, PLACEHOLDER)
        value.holder = holder
        return value

    def encode(self, *_encoding: object, **_errors: object) -> NoReturn:
        """Raise SettingsError: `http.client` calls this just before it sends the header."""
        raise outside_session()


class DpopAuth(AuthBase):
    """Lets the session send every request with a fresh child of the token, and a proof by the key.

    The settings are those of ChildTerms. `discharges` collects what a token with third-party caveats needs.
    A request is sent once more if the server wants a nonce, and once more with a fresh token if it answers
    401 invalid_token and the source has another one, provided that its body can be sent again. Raises
    SettingsError for http:// and for a token that is bound otherwise.
    """

    def __init__(
        self,
        token: TokenSource,
        key: ProofKey,
        *,
        discharges: DischargeClient | None = None,
        **settings: Unpack[ChildSettings],
    ) -> None:
        self.holder = DpopHolder(token, key, discharges, **settings)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Mark the request."""
        r.headers["Authorization"] = _Held(self.holder)
        return r


class DpopAdapter(BaseAdapter):
    """Proves each request that carries the mark of a DpopAuth, and sends it.

    Servers are verified against `ca`, a PEM file that is followed when it is replaced, or the system's CAs.
    """

    def __init__(self, ca: Path | str | None = None) -> None:
        super().__init__()
        self._trust = ServerTrust(ca)
        self._pools: Pools[TrustedCas, ContextAdapter] = Pools(lambda cas: ContextAdapter(cas.context()))

    def send(
        self,
        request: requests.PreparedRequest,
        *args: Any,
        verify: Any = True,
        cert: Any = None,
        **options: Any,
    ) -> requests.Response:
        """Send the request with a new proof, again if the answer asks for that."""
        if verify is False or cert:
            raise SettingsError("a DPoP session takes neither verify=False nor cert=: give it a ca")
        held = request.headers.get("Authorization")
        if not isinstance(held, _Held):
            return self._finish(request, self._send(request, *args, **options))
        proved = held.holder.prove(str(request.method), str(request.url))
        while True:
            sent = request.copy()
            sent.headers.update(proved.headers)
            response = self._send(sent, *args, **options)
            status, fields = response.status_code, response.headers
            anew = held.holder.again(proved, status, fields, is_replayable=is_replayable(request))
            if anew is None:
                return self._finish(request, response)
            response.close()  # and not read to its end: a body may have none
            proved = anew

    def close(self) -> None:
        """Close all connections."""
        close_adapters(self._pools.take_all())

    def _finish(self, request: requests.PreparedRequest, response: requests.Response) -> requests.Response:
        response.request = request
        response.connection = self  # type: ignore[assignment] # any adapter will do
        return response

    def _send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send it over a connection of this process: a forked child leaves those of its parent alone."""
        return send_leased(self._pools, self._trust.current(), request, *args, **options)


def dpop_session(auth: DpopAuth, ca: Path | str | None = None) -> requests.Session:
    """Return a session that proves its requests. `ca` is a PEM file, by default the system's CAs."""
    session = requests.Session()
    session.auth = auth
    session.mount("https://", DpopAdapter(ca))
    return session
