"""The certificate of `serve`: the operator's own, or one from the development CA that is renewed in time."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from macaroon_cbat.certificate.source import tls_connection
from macaroon_cbat.cli.greeting import is_of_this_machine
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service import Settings
from macaroon_cbat.tls import DevelopmentCertificates, development_certificates

log = logging.getLogger("macaroon_cbat.tls")


def server_certificate(
    folder: Path, names: Sequence[str], settings: Settings, certificate: Path | None, key: Path | None
) -> tuple[DevelopmentCertificates, Callable[[], None] | None]:
    """Return the files of the certificate, and the function that renews one of the development CA.

    Such a certificate has these names and the hosts of the service's URLs. Raises SettingsError if half of
    the pair is named, or the development CA is not usable.
    """
    if (certificate is None) != (key is None):
        raise SettingsError("--cert and --key go together: give both, or neither")
    if certificate is not None and key is not None:
        return DevelopmentCertificates(ca=certificate, certificate=certificate, key=key), None
    urls = [url for url in (settings.issuer, settings.mtls_url) if url is not None]
    hosts = [*names, *(urlsplit(url).hostname or "localhost" for url in urls)]
    files = development_certificates(folder, *hosts)
    if settings.certificate_source is tls_connection:
        _warn_of_foreign(urls, files.ca)

    def renew() -> None:
        try:
            development_certificates(folder, *hosts)
        except SettingsError as error:
            log.warning("the development certificate cannot be renewed: %s", error)

    return files, renew


def _warn_of_foreign(urls: list[str], ca: Path) -> None:
    """Warn of URLs that clients on other machines use; behind a proxy they see the proxy's certificate."""
    for url in dict.fromkeys(urls):
        if not is_of_this_machine(url):
            log.warning(
                "the server certificate for %s is from the development CA, which clients do not trust: name "
                "your own with --cert and --key, or let each client trust %s",
                url,
                ca,
            )
