import json

import msgspec
import pytest
from msgspec import UNSET

from macaroon_cbat.errors import MalformedMacaroon
from macaroon_cbat.macaroon.identifier import identifier_text, read_identifier
from tests.support.tokens import API, GRANT, NOW, grant

MEMBERS = json.loads(identifier_text(GRANT))


def spelled(**changes: object) -> bytes:
    """Return the compact text with these members; None takes one away."""
    members = {name: value for name, value in (MEMBERS | changes).items() if value is not None}
    return json.dumps(dict(sorted(members.items())), separators=(",", ":")).encode()


def test_the_identifier_is_compact_json_in_alphabetical_order():
    """A grant is written as compact JSON with its members in alphabetical order."""
    assert identifier_text(GRANT) == (
        b'{"aud":"https://api.example","client_id":"billing","exp":1767222600,"iat":1767222000,'
        b'"jti":"AAECAwQFBgcICQoLDA0ODw","kid":"k1","scope":"read write admin","sub":"alice","v":1}'
    )


@pytest.mark.parametrize(
    "written",
    [GRANT, grant(aud=UNSET), grant(aud=(API, "b")), grant(fam="f1"), grant(sub="é")],
    ids=["one audience", "no audience", "two audiences", "refresh family", "not ASCII"],
)
def test_a_grant_reads_back(written):
    """A grant that identifier_text writes is read by read_identifier to an equal grant."""
    assert read_identifier(identifier_text(written)) == written


def test_only_one_audience_is_an_audience():
    """A macaroon for several audiences, or for none, has no audience of its own."""
    assert GRANT.audience == API
    assert grant(aud=UNSET).audience is None
    assert grant(aud=(API,)).audience is None


def test_the_grant_says_when_it_expires():
    """A grant expires at its exp."""
    assert GRANT.expires_at == NOW + 600


REFUSED = {
    "PingAM's identifier": b"BD1IHha-I-SmUlNDCF81uPFisPU",
    "empty": b"",
    "not JSON": b"{",
    "not UTF-8": spelled().replace(b"alice", b"\xff"),
    "an array": b"[" + spelled() + b"]",
    "deep nesting": b'{"aud":' + b"[" * 5000,
    "white space": spelled().replace(b",", b", "),
    "a trailing newline": spelled() + b"\n",
    "another order": b'{"v":1,' + spelled()[1:].replace(b',"v":1', b""),
    "a repeated key": spelled().replace(b',"v":1', b',"sub":"root","v":1'),
    "an escape": spelled().replace(b"alice", b"\\u0061lice"),
    "an unknown member": spelled(admin=True),
    "another version": spelled(v=2),
    "a version that is a string": spelled(v="1"),
    "a version that is true": spelled(v=True),
    "no version": spelled(v=None),
    "no client_id": spelled(client_id=None),
    "no exp": spelled(exp=None),
    "no iat": spelled(iat=None),
    "no jti": spelled(jti=None),
    "no kid": spelled(kid=None),
    "no scope": spelled(scope=None),
    "no sub": spelled(sub=None),
    "an empty sub": spelled(sub=""),
    "an empty client_id": spelled(client_id=""),
    "an empty scope": spelled(scope=""),
    "an empty kid": spelled(kid=""),
    "an empty aud": spelled(aud=""),
    "no audience in the array": spelled(aud=[]),
    "a jti of 21 characters": spelled(jti="A" * 21),
    "a jti of 23 characters": spelled(jti="A" * 23),
    "an exp that is a string": spelled(exp="1"),
    "an exp that is a float": spelled(exp=1.5),
    "a negative exp": spelled(exp=-1),
    "an exp beyond 53 bits": spelled(exp=1 << 53),
    "a sub that is a number": spelled(sub=7),
    "aud null": spelled().replace(b'"https://api.example"', b"null"),
    "fam null": spelled().replace(b',"iat"', b',"fam":null,"iat"'),
}


@pytest.mark.parametrize("identifier", REFUSED.values(), ids=REFUSED)
def test_what_this_service_does_not_write_is_malformed(identifier):
    """An identifier that is not exactly what this service writes is malformed."""
    with pytest.raises(MalformedMacaroon, match="identifier"):
        read_identifier(identifier)


def test_nested_actors_are_malformed_however_deep_the_caller_is():
    """An identifier of nested actors is malformed also where the framework around has used up the stack."""

    def reads_below(frames: int) -> None:
        if frames:
            reads_below(frames - 1)
            return
        with pytest.raises(MalformedMacaroon, match="identifier"):
            read_identifier(b'{"act":' * 800)

    for frames in range(0, 500, 100):
        reads_below(frames)
    with pytest.raises(MalformedMacaroon, match="nested too deeply"):
        read_identifier(b'{"act":' * 100_000)


def test_a_grant_does_not_change():
    """A grant is a value: no code widens it after the signature was verified."""
    with pytest.raises(AttributeError):
        GRANT.scope = "everything"
    assert msgspec.structs.replace(GRANT) == GRANT
