"""The holder's side of `aiohttp` by a DPoP key: a middleware that proves each request, and its session.

    auth = DpopAuth(TokenClient(issuer=..., client_id=...), DpopKey.load("dpop.key"))
    async with dpop_session(auth, ca="ca.pem") as session:
        await session.get("https://api.example/invoices")

Child and proof are made when a request is sent, for the method and URL that it then has: a redirect and a
request that is sent again get their own. A redirect to another origin gets neither.
"""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from macaroon_cbat.client.aiohttp_sessions import (
    Chains,
    is_replayable,
    joined_fields,
    refuse_connections,
    session_over,
)
from macaroon_cbat.client.children import ChildSettings
from macaroon_cbat.client.discharges import DischargeClient
from macaroon_cbat.client.dpop_holder import DpopHolder, outside_session
from macaroon_cbat.client.dpop_key import ProofKey
from macaroon_cbat.client.holder import TokenSource
from macaroon_cbat.client.trust import server_trust
from macaroon_cbat.errors.extras import extra

with extra("aiohttp"):
    import aiohttp
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse


class DpopAuth:
    """A middleware that sends every request with a fresh child of the token, and a proof by the key.

    The settings are those of ChildTerms. `discharges` collects what a token with third-party caveats needs.
    A request is sent once more if the server wants a nonce, and once more with a fresh token if it answers
    401 invalid_token and the source has another one, provided that its body can be sent again. Raises
    SettingsError for http:// and for a token that is bound otherwise, and in a session that `dpop_session`
    did not make. The event loop never waits for the source.
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
        self.chains = Chains()

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Prove the request and send it, again if the answer asks for that."""
        if not self.chains.knows(request):
            raise outside_session()
        if not self.chains.may_carry_child(request):
            return await handler(request)
        proved = await asyncio.to_thread(self.holder.prove, request.method, str(request.url))
        while True:
            request.headers.update(proved.headers)
            response = await handler(request)
            again = partial(self.holder.again, is_replayable=is_replayable(request))
            fields = joined_fields(response, "WWW-Authenticate", "DPoP-Nonce")
            anew = await asyncio.to_thread(again, proved, response.status, fields)
            if anew is None:
                return response
            response.release()
            proved = anew


def dpop_session(auth: DpopAuth, ca: Path | str | None = None, **settings: Any) -> aiohttp.ClientSession:
    """Return a session that proves its requests. `ca` is a PEM file, by default the system's CAs.

    `settings` are those of aiohttp.ClientSession. Raises SettingsError for one that would take another
    connection.
    """
    refuse_connections(settings, "a DPoP session")
    connector = aiohttp.TCPConnector(ssl=server_trust(ca))
    return session_over(connector, auth.chains, auth, **settings)
