"""Locations of the service: its URLs as clients know them, its routes as requests arrive (RFC 8414 3.1)."""

from dataclasses import dataclass

from flask import Request

from macaroon_cbat.macaroon.issuers import WELL_KNOWN, origin_of, path_of
from macaroon_cbat.macaroon.target import Target, parse_target


@dataclass(frozen=True, slots=True)
class Locations:
    """The issuer's URL, the one that clients with certificates use, and the path that routes are below.

    An issuer's path stands before every route, unless a proxy in front strips it. Nothing is taken from what
    a request says about its prefix: the deployer says where requests arrive, and no other path is routed.
    """

    issuer: str
    mtls_url: str
    root_path: str

    def route(self, path: str) -> str:
        """Return where requests for a path of the service arrive."""
        return self.root_path + path

    @property
    def metadata_routes(self) -> list[str]:
        """The routes of the metadata: before the issuer's path, and below it as before RFC 8414."""
        return list(dict.fromkeys([WELL_KNOWN + path_of(self.issuer), self.route(WELL_KNOWN)]))

    def target_of(self, request: Request) -> Target:
        """Return the target of a routed request as the holder of a bound macaroon names it."""
        inner = request.path.removeprefix(self.root_path)
        origin = parse_target(origin_of(self.mtls_url)).origin  # an issuer may be written in other letters
        return Target(origin, path_of(self.mtls_url) + inner)
