"""The value that a guard judges: one request, as an adapter read it."""

from msgspec import Struct

from macaroon_cbat.certificate.source import PresentedCertificate, RequestConnection
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.credential_headers import CredentialHeaders
from macaroon_cbat.resource.overrides import Overrides
from macaroon_cbat.resource.presented_proof import PresentedProof


class PresentedRequest(Struct, frozen=True, kw_only=True):
    """One request that a client presents to a guard, with the moment at which it came."""

    now: EpochSeconds
    authorization: str | tuple[str, ...] | None
    """The value of the Authorization header, or each value where the server keeps several apart."""
    connection: RequestConnection
    certificate: PresentedCertificate | None = None
    """The client's certificate, if it was found before; None has it looked for in `connection`."""
    method: str
    """The method, in the letters in which it came."""
    path: str | None
    """The path, percent-decoded, as the application routes it; None where it is unknown."""
    address: str | None
    """The client's IP address as the server shows it, which a header may have written."""
    why_no_path: str | None = None
    """The reason for which the path, or the method, is unknown."""
    is_address_known: bool = False
    """True if no header of a client can have written `address`."""
    is_method_known: bool = True
    """False if a header names another method, which the application may run."""
    proof: PresentedProof | None = None
    """The DPoP header; None without one."""
    overrides: Overrides = ()
    """The headers by which an application may take another path or method."""
    credentials: CredentialHeaders = ()
    """The headers beside Authorization that carry credentials, such as discharges."""
