"""One bounded HTTPS exchange with the service, over a session with the resource server's certificate."""

import ssl
from pathlib import Path
from typing import Any

import requests
from requests import Session
from urllib3.exceptions import HTTPError

from macaroon_cbat.errors import SettingsError, Unavailable

__all__ = ["Session", "check_files", "exchange", "new_session"]


def new_session(ca: Path | None, certificate: tuple[Path, Path] | None) -> Session:
    """Return a session that trusts `ca` (None: the system's CAs) and presents the certificate, if any.

    What the environment says of proxies and passwords does not count.
    """
    session = requests.Session()
    session.trust_env = False
    session.headers["Accept-Encoding"] = "identity"
    session.verify = True if ca is None else str(ca)
    if certificate is not None:
        session.cert = (str(certificate[0]), str(certificate[1]))
    return session


def exchange(
    session: Session, method: str, url: str, *, limit: int, timeout: float, **content: Any
) -> tuple[int, bytes]:
    """Return status and body, or raise Unavailable when no whole answer of at most `limit` bytes comes.

    Redirects are not followed: credentials stay with the endpoint they are meant for.
    """
    try:
        with session.request(
            method, url, timeout=timeout, allow_redirects=False, stream=True, **content
        ) as response:
            body: bytes = response.raw.read(limit + 1)
    except (requests.RequestException, HTTPError, OSError) as error:  # urllib3's while the body is read
        raise Unavailable(f"{url} gave no usable answer: {error}") from error
    if len(body) > limit:
        raise Unavailable(f"{url} answered {response.status_code} with more than {limit} bytes")
    return response.status_code, body


def check_files(ca: Path | None, certificate: tuple[Path, Path] | None, who: str) -> None:
    """Raise SettingsError at start-up for what could only fail at the first request."""
    try:
        context = ssl.create_default_context(cafile=ca)
        if certificate is not None:
            context.load_cert_chain(*certificate, password="")
    except OSError as error:
        named = " and ".join(str(file) for file in (ca, *(certificate or ())) if file is not None)
        raise SettingsError(
            f"{who} cannot load {named} ({error.strerror or error}): name PEM files"
        ) from error
