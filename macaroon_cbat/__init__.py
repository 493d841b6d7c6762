"""Certificate-bound macaroons: mint, attenuate, bind to a client certificate, verify.

A token's walk: `mint` by the service; `attenuate` with `confirmation(thumbprint)` by the holder, just
before use; `verify` by the resource server, which gives a `Principal` or raises an `InvalidToken`.
The Flask service is in `macaroon_cbat.service`, the guard of a resource server in
`macaroon_cbat.resource`, the holder's side in `macaroon_cbat.client`.
"""

from macaroon_cbat.caveats import Access as Access
from macaroon_cbat.caveats import Audience as Audience
from macaroon_cbat.caveats import Caveat as Caveat
from macaroon_cbat.caveats import ClientAddress as ClientAddress
from macaroon_cbat.caveats import Confirmation as Confirmation
from macaroon_cbat.caveats import Expiry as Expiry
from macaroon_cbat.caveats import Method as Method
from macaroon_cbat.caveats import NotBefore as NotBefore
from macaroon_cbat.caveats import PathPrefix as PathPrefix
from macaroon_cbat.caveats import Scope as Scope
from macaroon_cbat.caveats import TargetUri as TargetUri
from macaroon_cbat.caveats import confirmation as confirmation
from macaroon_cbat.caveats import read_caveats as read_caveats
from macaroon_cbat.certificate_file import der_of as der_of
from macaroon_cbat.claims import EpochSeconds as EpochSeconds
from macaroon_cbat.errors import CaveatsNotMet as CaveatsNotMet
from macaroon_cbat.errors import InsufficientScope as InsufficientScope
from macaroon_cbat.errors import InvalidToken as InvalidToken
from macaroon_cbat.errors import MacaroonError as MacaroonError
from macaroon_cbat.errors import MalformedMacaroon as MalformedMacaroon
from macaroon_cbat.errors import NotCertificateBound as NotCertificateBound
from macaroon_cbat.errors import SignatureMismatch as SignatureMismatch
from macaroon_cbat.identifier import Grant as Grant
from macaroon_cbat.keys import AudienceKeys as AudienceKeys
from macaroon_cbat.keys import RootKey as RootKey
from macaroon_cbat.keys import audience_key as audience_key
from macaroon_cbat.keys import audience_keys as audience_keys
from macaroon_cbat.keys import read_key_file as read_key_file
from macaroon_cbat.keys import write_key_file as write_key_file
from macaroon_cbat.logs import guard_logs
from macaroon_cbat.minting import attenuate as attenuate
from macaroon_cbat.minting import mint as mint
from macaroon_cbat.request_target import Target as Target
from macaroon_cbat.thumbprint import DerCertificate as DerCertificate
from macaroon_cbat.thumbprint import Thumbprint as Thumbprint
from macaroon_cbat.thumbprint import thumbprint_of as thumbprint_of
from macaroon_cbat.verification import Principal as Principal
from macaroon_cbat.verification import verify as verify

guard_logs()
