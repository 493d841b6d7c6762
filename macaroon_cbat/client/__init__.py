"""Holders: obtain tokens, attenuate them, and bind each request's child to the certificate in use.

`macaroon_cbat.client.requests`, `macaroon_cbat.client.httpx` and `macaroon_cbat.client.aiohttp` (each with
an extra of its name) do all of it at every request of these libraries. `macaroon_cbat.client.dpop_requests`,
`dpop_httpx` and `dpop_aiohttp` do it for a holder that has a DPoP key in place of a certificate.
"""

from macaroon_cbat.client.certificate import ClientCertificate as ClientCertificate
from macaroon_cbat.client.certificate import Credentials as Credentials
from macaroon_cbat.client.children import ChildTerms as ChildTerms
from macaroon_cbat.client.children import bind_to_certificate as bind_to_certificate
from macaroon_cbat.client.children import parent_of as parent_of
from macaroon_cbat.client.children import request_child as request_child
from macaroon_cbat.client.discharges import DischargeClient as DischargeClient
from macaroon_cbat.client.dpop_key import DpopKey as DpopKey
from macaroon_cbat.client.third_parties import discharger_key as discharger_key
from macaroon_cbat.client.third_parties import require_discharge as require_discharge
from macaroon_cbat.client.tokens import TokenClient as TokenClient
from macaroon_cbat.macaroon.minting import attenuate as attenuate
