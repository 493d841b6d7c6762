"""Certificate-bound macaroons: mint, attenuate, bind to a client certificate, verify.

A token's walk: `mint` by the service; `attenuate` with `confirmation(thumbprint)` by the holder, just
before use; `verify` by the resource server, which gives a `Principal` or raises an `InvalidToken`.
The Flask service is in `macaroon_cbat.service`, the guard of a resource server in
`macaroon_cbat.resource`, the holder's side in `macaroon_cbat.client`.
"""

from typing import TYPE_CHECKING

from macaroon_cbat.audit.loggers import guard_logs
from macaroon_cbat.errors.first_use import at_first_use

if TYPE_CHECKING:
    from macaroon_cbat.certificate.apache import apache_variable as apache_variable
    from macaroon_cbat.certificate.file import der_of as der_of
    from macaroon_cbat.certificate.forwarded import Forwarded as Forwarded
    from macaroon_cbat.certificate.forwarded import trusted_proxies as trusted_proxies
    from macaroon_cbat.certificate.source import tls_connection as tls_connection
    from macaroon_cbat.certificate.thumbprint import DerCertificate as DerCertificate
    from macaroon_cbat.certificate.thumbprint import Thumbprint as Thumbprint
    from macaroon_cbat.certificate.thumbprint import thumbprint_of as thumbprint_of
    from macaroon_cbat.errors import CaveatsNotMet as CaveatsNotMet
    from macaroon_cbat.errors import InsufficientScope as InsufficientScope
    from macaroon_cbat.errors import InvalidToken as InvalidToken
    from macaroon_cbat.errors import MacaroonError as MacaroonError
    from macaroon_cbat.errors import MalformedMacaroon as MalformedMacaroon
    from macaroon_cbat.errors import NotCertificateBound as NotCertificateBound
    from macaroon_cbat.errors import Revoked as Revoked
    from macaroon_cbat.errors import SignatureMismatch as SignatureMismatch
    from macaroon_cbat.errors import Unavailable as Unavailable
    from macaroon_cbat.errors import UnknownKey as UnknownKey
    from macaroon_cbat.macaroon.caveats import Access as Access
    from macaroon_cbat.macaroon.caveats import Audience as Audience
    from macaroon_cbat.macaroon.caveats import Caveat as Caveat
    from macaroon_cbat.macaroon.caveats import ClientAddress as ClientAddress
    from macaroon_cbat.macaroon.caveats import Confirmation as Confirmation
    from macaroon_cbat.macaroon.caveats import Expiry as Expiry
    from macaroon_cbat.macaroon.caveats import KeyConfirmation as KeyConfirmation
    from macaroon_cbat.macaroon.caveats import Method as Method
    from macaroon_cbat.macaroon.caveats import NotBefore as NotBefore
    from macaroon_cbat.macaroon.caveats import PathPrefix as PathPrefix
    from macaroon_cbat.macaroon.caveats import Scope as Scope
    from macaroon_cbat.macaroon.caveats import TargetUri as TargetUri
    from macaroon_cbat.macaroon.caveats import confirmation as confirmation
    from macaroon_cbat.macaroon.caveats import key_confirmation as key_confirmation
    from macaroon_cbat.macaroon.caveats import read_caveats as read_caveats
    from macaroon_cbat.macaroon.claims import EpochSeconds as EpochSeconds
    from macaroon_cbat.macaroon.custom import CustomCaveat as CustomCaveat
    from macaroon_cbat.macaroon.dpop_nonces import DpopNonces as DpopNonces
    from macaroon_cbat.macaroon.identifier import Grant as Grant
    from macaroon_cbat.macaroon.keys import AudienceKeys as AudienceKeys
    from macaroon_cbat.macaroon.keys import RootKey as RootKey
    from macaroon_cbat.macaroon.keys import audience_key as audience_key
    from macaroon_cbat.macaroon.keys import audience_keys as audience_keys
    from macaroon_cbat.macaroon.keys import read_key_file as read_key_file
    from macaroon_cbat.macaroon.keys import write_key_file as write_key_file
    from macaroon_cbat.macaroon.minting import attenuate as attenuate
    from macaroon_cbat.macaroon.minting import mint as mint
    from macaroon_cbat.macaroon.target import Target as Target
    from macaroon_cbat.macaroon.verification import Principal as Principal
    from macaroon_cbat.macaroon.verification import verify as verify

# The pytest plugin, which every run of pytest in an environment imports, costs other projects nothing.
__getattr__, __dir__, __all__ = at_first_use(
    __name__,
    {
        "certificate.apache": "apache_variable",
        "certificate.file": "der_of",
        "certificate.forwarded": "Forwarded trusted_proxies",
        "certificate.source": "tls_connection",
        "certificate.thumbprint": "DerCertificate Thumbprint thumbprint_of",
        "errors": "CaveatsNotMet InsufficientScope InvalidToken MacaroonError MalformedMacaroon "
        "NotCertificateBound Revoked SignatureMismatch Unavailable UnknownKey",
        "macaroon.caveats": "Access Audience Caveat ClientAddress Confirmation Expiry KeyConfirmation Method "
        "NotBefore PathPrefix Scope TargetUri confirmation key_confirmation read_caveats",
        "macaroon.claims": "EpochSeconds",
        "macaroon.custom": "CustomCaveat",
        "macaroon.dpop_nonces": "DpopNonces",
        "macaroon.identifier": "Grant",
        "macaroon.keys": "AudienceKeys RootKey audience_key audience_keys read_key_file write_key_file",
        "macaroon.minting": "attenuate mint",
        "macaroon.target": "Target",
        "macaroon.verification": "Principal verify",
    },
)

__version__ = "0.1.0"

guard_logs()
