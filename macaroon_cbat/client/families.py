"""The live refresh families of a client, which it lists and ends at the service."""

from collections.abc import Iterator
from urllib.parse import quote

from msgspec import Struct

from macaroon_cbat.client.https import HttpsAnswer, HttpsRequest
from macaroon_cbat.client.oauth_answers import read_answer, read_refusal
from macaroon_cbat.client.service import Service
from macaroon_cbat.client.service_calls import base_of
from macaroon_cbat.errors import Refused

_PATH = "/oauth2/grants"
_ANSWER_BYTES = 4 << 20
_MOST_PAGES, _MOST_BYTES = 1000, 64 << 20
"""Pages and bytes of a whole list, at most: a hostile service has always one more."""


class ListedFamily(Struct, frozen=True, kw_only=True):
    """A live refresh family, as the service lists it; times are seconds since the epoch."""

    family: str
    client_id: str
    subject: str
    scope: str
    created_at: int
    used_at: int
    expires_at: int
    client_name: str | None = None
    audience: str | list[str] | None = None
    certificate: str | None = None
    label: str | None = None


class _Page(Struct, frozen=True):
    grants: list[ListedFamily]
    cursor: str | None = None


def listed_families(service: Service) -> Iterator[ListedFamily]:
    """Yield the client's live families, oldest first.

    Raises Unavailable, or Refused, which also stands for a list without end.
    """
    after, read = "0", 0
    for _ in range(_MOST_PAGES):
        answer, url = _asked(service, "GET", "", {"after": after})
        page = read_answer(answer.status, answer.body, _Page, url)
        yield from page.grants
        read += len(answer.body)
        if page.cursor is None:
            return
        if not page.grants or read > _MOST_BYTES:
            break
        after = page.cursor
    raise Refused(200, None, f"{url} lists ever more: ask the operator of the service for grant list")


def end_family(service: Service, family: str) -> None:
    """Revoke a family of the client, and its access tokens. Raises Refused or Unavailable."""
    answer, url = _asked(service, "DELETE", "/" + quote(family, safe=""), {})
    if answer.status != 204:
        raise read_refusal(answer.status, answer.body, url)


def _asked(service: Service, method: str, path: str, query: dict[str, str]) -> tuple[HttpsAnswer, str]:
    url = base_of(service.endpoint("token_endpoint")) + _PATH + path
    request = HttpsRequest(
        method=method,
        url=url,
        timeout=service.timeout,
        limit=_ANSWER_BYTES,
        query=query | service.authentication.form(),
        authorization=service.authentication.authorization(),
        is_repeatable=method == "GET",
    )
    return service.exchange(request), url
