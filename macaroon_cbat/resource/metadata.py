"""The metadata document of a resource server (RFC 9728, RFC 8705 3.3): it says what the guard enforces."""

from typing import NewType
from urllib.parse import unquote, urlsplit

from macaroon_cbat.macaroon.audiences import canonical_audience
from macaroon_cbat.macaroon.proof_keys import SIGNING_ALGORITHMS
from macaroon_cbat.resource.admission import Admission

WELL_KNOWN = "/.well-known/oauth-protected-resource"

DecodedPath = NewType("DecodedPath", str)
"""The path of a URL, percent-decoded, as servers show it to applications."""


def metadata_target(resource: str) -> str:
    """Return the request target of a resource's document: before its own path and query (RFC 9728 3.1).

    It is percent-encoded as its canonical spelling is. Raises ValueError for what no URL parser reads.
    """
    parts = urlsplit(canonical_audience(resource))
    if not parts.netloc:
        return WELL_KNOWN
    path = "" if parts.path == "/" else parts.path
    return WELL_KNOWN + path + (f"?{parts.query}" if parts.query else "")


def metadata_path(resource: str) -> DecodedPath:
    """Return the path of a resource's document as servers show it to applications."""
    return DecodedPath(unquote(metadata_target(resource).partition("?")[0]))


def document_url(admission: Admission) -> str | None:
    """Return the document's public URL, or None if the resource is no web URL."""
    if admission.origin is None:
        return None
    return admission.origin + metadata_target(admission.verifier.audience)


def protected_resource_metadata(admission: Admission, scopes: set[str]) -> dict[str, object]:
    """Return the metadata document. `scopes` are those that resources require; an empty set is left out."""
    supported = {"scopes_supported": sorted(scopes)} if scopes else {}
    return {
        "resource": admission.verifier.audience,
        "authorization_servers": [admission.verifier.issuer],
        **supported,
        "bearer_methods_supported": ["header"],
        "tls_client_certificate_bound_access_tokens": admission.requires_certificate,
        **_dpop(admission),
        **({"authorization_details_types_supported": sorted(admission.custom)} if admission.custom else {}),
    }


def _dpop(admission: Admission) -> dict[str, object]:
    """Return the members about DPoP of a resource server that asks for it (RFC 9728 2)."""
    if admission.require == "certificate":
        return {}
    is_required = {"dpop_bound_access_tokens_required": True} if admission.require == "dpop" else {}
    return {"dpop_signing_alg_values_supported": list(SIGNING_ALGORITHMS), **is_required}
