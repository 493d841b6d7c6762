"""The memory of rendered answers: of principals that were admitted, bounded, and never of a refusal."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from macaroon_cbat.certificate.thumbprint import parse_thumbprint
from macaroon_cbat.gateway.http_text import answer_text, kept_texts
from macaroon_cbat.gateway.principal_headers import kept_headers, principal_headers
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.verification import Principal
from macaroon_cbat.resource.responses import Answer
from tests.support.tokens import API, CERTIFICATE, OTHER_CERTIFICATE

PRINCIPAL = Principal(
    client_id="billing",
    subject="ann",
    scope=frozenset({"read", "write"}),
    token_id="A" * 22,
    audience=API,
    issued_at=EpochSeconds(0),
    expires_at=EpochSeconds(1),
    certificate=parse_thumbprint(CERTIFICATE),
)
OTHERS = {
    "client": {"client_id": "Billing"},
    "subject": {"subject": "ann\n"},
    "scope": {"scope": frozenset({"read"})},
    "token": {"token_id": "B" * 22},
    "certificate": {"certificate": parse_thumbprint(OTHER_CERTIFICATE)},
    "no certificate": {"certificate": None},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_remembered_headers_are_of_one_principal(other: dict[str, Any]):
    """A principal that differs in one member has headers of its own, however often the first one came."""
    first, second = Answer(200, principal_headers(PRINCIPAL), b""), replace(PRINCIPAL, **other)
    texts = [
        answer_text(Answer(200, principal_headers(one), b""), is_head=False, is_last=False)
        for one in (PRINCIPAL, second, PRINCIPAL)
    ]
    assert texts[0] == texts[2] != texts[1]
    assert principal_headers(PRINCIPAL) == first.headers != principal_headers(second)


def test_a_refusal_is_written_anew():
    """The answer to a refused request is not remembered: it names the client's own mistake."""
    before = len(kept_texts)
    for number in range(3):
        refused = Answer(401, (("WWW-Authenticate", f"Bearer {number}"),), b"{}")
        assert b"Bearer %d\r\n" % number in answer_text(refused, is_head=False, is_last=False)
    assert len(kept_texts) == before


def flood(principals: int, subject: Callable[[int], str]) -> None:
    """Let many principals in, each with a subject of its own."""
    for number in range(principals):
        headers = principal_headers(replace(PRINCIPAL, subject=subject(number)))
        answer_text(Answer(200, headers, b""), is_head=False, is_last=False)


def test_the_memory_of_principals_is_bounded():
    """However many tokens come, the answers to the last ones are kept."""
    flood(5000, str)
    assert [2048 <= len(memory) <= 4096 for memory in (kept_headers, kept_texts)] == [True, True]


@pytest.mark.parametrize("character", ["a", "\n", "\U0001f511"])
def test_a_long_token_takes_no_memory(character: str):
    """A holder whose token is as long as one may be fills no memory with the answers."""
    tracemalloc.start()
    try:
        flood(200, lambda number: f"{number:04}" + character * 5000)
        assert tracemalloc.get_traced_memory()[0] < 500_000  # one text is 5,000 bytes, and there are 400
    finally:
        tracemalloc.stop()
