"""What the resource server says about itself (RFC 9728, RFC 8705 3.3): only what is really enforced."""

from urllib.parse import urlsplit

from macaroon_cbat.resource.admission import Admission

WELL_KNOWN = "/.well-known/oauth-protected-resource"


def metadata_path(resource: str) -> str:
    """Return where the document of this resource lives: before the resource's own path (RFC 9728 3.1)."""
    parts = urlsplit(resource)
    return WELL_KNOWN + parts.path.rstrip("/") if parts.netloc else WELL_KNOWN


def metadata_url(admission: Admission) -> str | None:
    """Return the document's public URL, or None when the resource is no web URL."""
    if admission.origin is None:
        return None
    return admission.origin + metadata_path(admission.verifier.audience)


def protected_resource_metadata(admission: Admission, scopes: set[str]) -> dict[str, object]:
    """Return the metadata document. `scopes` are those that some resource requires."""
    return {
        "resource": admission.verifier.audience,
        "authorization_servers": [admission.verifier.issuer],
        "scopes_supported": sorted(scopes),
        "bearer_methods_supported": ["header"],
        "tls_client_certificate_bound_access_tokens": admission.require_certificate,
    }
