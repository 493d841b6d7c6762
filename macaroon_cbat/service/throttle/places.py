"""The address by which attempts are limited: that of one client, or none."""

from macaroon_cbat.certificate.source import PresentedCertificate, RequestConnection, client_address


def limited_address(
    connection: RequestConnection, presented: PresentedCertificate, shown: str | None
) -> str | None:
    """Return the client's address; None if it is unknown, or that of a trusted proxy, which all share.

    No header of an untrusted sender changes it. An attacker behind the proxy could lock out all others.
    """
    address = client_address(connection, presented, shown)
    return None if presented.is_from_proxy and address == connection.address() else address
