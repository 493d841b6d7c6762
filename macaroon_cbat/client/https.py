"""One bounded HTTPS exchange, and the adapter that makes `requests` use one given TLS context."""

import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from macaroon_cbat.client.clock import compare_clocks
from macaroon_cbat.client.network_failures import failure_in_words
from macaroon_cbat.errors import Refused, Unavailable
from macaroon_cbat.errors.extras import extra

with extra("requests"):
    import requests
    from requests.adapters import HTTPAdapter
    from requests.auth import HTTPBasicAuth
    from urllib3.exceptions import HTTPError

_ANSWER_BYTES = 64 * 1024


class ContextAdapter(HTTPAdapter):
    """Makes every connection with this context, which alone says whom to trust and what to present."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Name the context, through which urllib3 also tells pools apart."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": self._context}

    def cert_verify(self, *_args: object, **_kwargs: object) -> None:
        """Add nothing to the context: requests would load its own CAs into it at each connection."""


def no_answer(url: str, error: Exception) -> Unavailable:
    """Return the error for a URL that gave no whole answer: what failed, and what to do."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2] or url
    return Unavailable(f"no answer from {url}: {failure_in_words(error, place)}")


def exchange(
    context: ssl.SSLContext,
    url: str,
    form: Mapping[str, str] | None = None,
    *,
    basic: tuple[str, str] | None = None,
    timeout: float,
) -> tuple[int, bytes]:
    """GET the URL, or POST the form to it, and return status and body.

    Raises Unavailable when no whole answer comes, with status 5xx too, and Refused when it is longer
    than 64 KiB. Redirects are not followed: credentials stay with the endpoint they are meant for.
    """
    sent = time.time()
    with requests.Session() as session:
        session.mount("https://", ContextAdapter(context))
        try:
            with session.request(
                "GET" if form is None else "POST",
                url,
                data=form,
                # Without an auth of ours requests would send what a .netrc holds for this host.
                auth=HTTPBasicAuth(*basic) if basic else lambda request: request,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                allow_redirects=False,
                timeout=timeout,
                stream=True,
            ) as answer:
                body: bytes = answer.raw.read(_ANSWER_BYTES + 1)
        except (requests.RequestException, HTTPError) as error:
            raise no_answer(url, error) from error
    headers = answer.headers
    compare_clocks(urlsplit(url).netloc, headers.get("Date"), headers.get("Age"), sent=sent)
    status = answer.status_code
    if status >= 500:
        raise Unavailable(f"{url} answered {status}")
    if len(body) > _ANSWER_BYTES:
        raise Refused(status, None, f"an answer of more than {_ANSWER_BYTES} bytes from {url}")
    return status, body
