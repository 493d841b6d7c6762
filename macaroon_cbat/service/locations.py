"""The locations of the service: its URLs for clients, and its routes as requests arrive (RFC 8414 3.1)."""

from dataclasses import dataclass

from flask import Request

from macaroon_cbat.macaroon.issuers import WELL_KNOWN, issuer_origin, issuer_path
from macaroon_cbat.macaroon.target import Target, parse_target


@dataclass(frozen=True, slots=True)
class Locations:
    """The issuer's URL, the URL for clients with certificates, and the path below which routes are.

    The issuer's path stands before every route, unless a proxy in front strips it. What a request says about
    its prefix is ignored: the operator sets the path, and no other path is routed.
    """

    issuer: str
    mtls_url: str
    root_path: str

    def route(self, path: str) -> str:
        """Return the route of a path of the service."""
        return self.root_path + path

    @property
    def metadata_routes(self) -> list[str]:
        """The routes of the metadata: before the issuer's path (RFC 8414 3.1), and below it."""
        return list(dict.fromkeys([WELL_KNOWN + issuer_path(self.issuer), self.route(WELL_KNOWN)]))

    def targets_of(self, request: Request) -> list[Target]:
        """Return the target of a routed request by each URL of the service that a client may write."""
        inner = request.path.removeprefix(self.root_path)
        bases = dict.fromkeys((self.mtls_url, self.issuer))
        return [_target(base, inner) for base in bases]

    def target_of(self, request: Request) -> Target:
        """Return the target of a routed request as its client writes it."""
        return self.targets_of(request)[0]


def _target(base: str, path: str) -> Target:
    origin = parse_target(issuer_origin(base)).origin  # an issuer may be written in other letters
    return Target(origin, issuer_path(base) + path)
