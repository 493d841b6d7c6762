import pytest

from macaroon_cbat.caveats import Audience, Caveat, Expiry, Scope, caveat_text, parse_caveat, read_caveat
from tests.core.material import CERTIFICATE
from tests.core.test_caveats import ACCEPTED, PROHIBITED

CNF = CERTIFICATE.encode()
HEX = b"ab" * 32

REFUSED = {
    "empty": b"",
    "not JSON": b"time < 2030-01-01",
    "a Macaroon caveat of another service": b"account = 3735928559",
    "no object": b'"exp"',
    "an array": b'["exp",1]',
    "an empty object": b"{}",
    "truncated": b'{"exp":1',
    "only a name": b'{"exp"',
    "an unknown name": b'{"role":"admin"}',
    "a name in the other letter case": b'{"EXP":1}',
    "an empty name": b'{"":1}',
    "two members": b'{"exp":1,"nbf":1}',
    "two members, the second unknown": b'{"exp":1,"x":1}',
    "a repeated key": b'{"exp":1,"exp":9}',
    "a repeated key with the same value": b'{"exp":1,"exp":1}',
    "a space inside": b'{"exp": 1}',
    "a space before": b' {"exp":1}',
    "a newline after": b'{"exp":1}\n',
    "trailing bytes": b'{"exp":1}{"exp":1}',
    "an escaped name": b'{"\\u0065xp":1}',
    "an escaped value": b'{"scope":"\\u0072ead"}',
    "an escaped slash": b'{"path":"\\/a"}',
    "a byte order mark": b'\xef\xbb\xbf{"exp":1}',
    "not UTF-8": b'{"aud":"\xff"}',
    "a lone surrogate": b'{"aud":"\\ud800"}',
    "UTF-16": '{"exp":1}'.encode("utf-16"),
    "deep nesting": b'{"aud":' + b"[" * 5000,
    "exp as a string": b'{"exp":"1"}',
    "exp as a float": b'{"exp":1.0}',
    "exp with an exponent": b'{"exp":1e9}',
    "exp negative": b'{"exp":-1}',
    "exp minus zero": b'{"exp":-0}',
    "exp beyond 53 bits": b'{"exp":9007199254740992}',
    "exp beyond 64 bits": b'{"exp":1000000000000000000000000}',
    "exp with a leading zero": b'{"exp":01}',
    "exp null": b'{"exp":null}',
    "exp true": b'{"exp":true}',
    "exp an array": b'{"exp":[1]}',
    "nbf as a string": b'{"nbf":"1"}',
    "scope empty": b'{"scope":""}',
    "scope an array": b'{"scope":["read"]}',
    "scope with two spaces": b'{"scope":"read  write"}',
    "scope with a space before": b'{"scope":" read"}',
    "scope with a tab": b'{"scope":"read\\twrite"}',
    "scope with a quote": b'{"scope":"re\\"ad"}',
    "scope not ASCII": '{"scope":"lése"}'.encode(),
    "aud empty": b'{"aud":""}',
    "aud no one": b'{"aud":[]}',
    "aud with an empty one": b'{"aud":[""]}',
    "aud a number": b'{"aud":1}',
    "aud nested": b'{"aud":[["https://api.example"]]}',
    "cnf a string": b'{"cnf":"' + CNF + b'"}',
    "cnf empty": b'{"cnf":{}}',
    "cnf null": b'{"cnf":null}',
    "cnf with an unknown member alone": b'{"cnf":{"jkt":"' + CNF + b'"}}',
    "cnf with an unknown member more": b'{"cnf":{"x5t#S256":"' + CNF + b'","jkt":"x"}}',
    "cnf with two thumbprints": b'{"cnf":{"x5t#S256":"' + CNF + b'","x5t#S256":"' + CNF + b'"}}',
    "cnf with the member in lower case": b'{"cnf":{"x5t#s256":"' + CNF + b'"}}',
    "cnf with a SHA-1 thumbprint": b'{"cnf":{"x5t":"' + CNF[:27] + b'"}}',
    "thumbprint in hex": b'{"cnf":{"x5t#S256":"' + HEX + b'"}}',
    "thumbprint in hex with colons": b'{"cnf":{"x5t#S256":"' + b":".join([b"AB"] * 32) + b'"}}',
    "thumbprint padded": b'{"cnf":{"x5t#S256":"' + CNF + b'="}}',
    "thumbprint too short": b'{"cnf":{"x5t#S256":"' + CNF[:-1] + b'"}}',
    "thumbprint with spare bits": b'{"cnf":{"x5t#S256":"' + b"A" * 42 + b'B"}}',
    "thumbprint in standard base64": b'{"cnf":{"x5t#S256":"' + b"+" * 42 + b'A"}}',
    "thumbprint and a newline": b'{"cnf":{"x5t#S256":"' + CNF + b'\\n"}}',
    "thumbprint empty": b'{"cnf":{"x5t#S256":""}}',
    "thumbprint null": b'{"cnf":{"x5t#S256":null}}',
    "htm empty": b'{"htm":""}',
    "htm no method": b'{"htm":[]}',
    "htm with a space": b'{"htm":"GET POST"}',
    "htu relative": b'{"htu":"/a"}',
    "htu with a query": b'{"htu":"https://api.example/?a"}',
    "htu an array": b'{"htu":["https://api.example/"]}',
    "path relative": b'{"path":"a"}',
    "path empty": b'{"path":""}',
    "path with dots": b'{"path":"/a/../b"}',
    "path an array": b'{"path":["/a"]}',
    "ip empty": b'{"ip":""}',
    "ip no network": b'{"ip":[]}',
    "ip with bits beyond the prefix": b'{"ip":"10.0.0.1/8"}',
    "ip a host name": b'{"ip":"localhost"}',
    "ip a number": b'{"ip":1}',
    "ip with a prefix too long": b'{"ip":"10.0.0.0/33"}',
    "ip with a netmask, which could be a host mask": b'{"ip":"0.0.0.0/0.0.0.0"}',
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_is_no_canonical_caveat_is_refused(text):
    """A text that is not exactly one known caveat in its canonical spelling is a ValueError."""
    with pytest.raises(ValueError, match="caveat"):
        read_caveat(text)


@pytest.mark.parametrize(
    "caveat", [caveat for caveat, _ in (ACCEPTED | PROHIBITED).values()], ids=ACCEPTED | PROHIBITED
)
def test_a_caveat_reads_back(caveat):
    """What caveat_text writes, read_caveat reads to an equal caveat."""
    assert read_caveat(caveat_text(caveat)) == caveat


def test_a_long_text_is_not_repeated_in_full():
    """The reason of a refusal quotes the beginning of the text only: an attacker does not fill the log."""
    with pytest.raises(ValueError, match="unknown caveat") as refusal:
        read_caveat(b'{"' + b"x" * 5000 + b'":1}')
    assert len(str(refusal.value)) < 200


def test_a_log_line_stays_one_line():
    """The reason of a refusal is one printable line, whatever the text."""
    with pytest.raises(ValueError, match="unknown caveat") as refusal:
        read_caveat(b'{"a\r\n\x1b[31mINFO all is well":1}')
    assert str(refusal.value).isprintable()


def test_one_caveat_is_not_another():
    """Reading the same text again gives an equal caveat; kinds with equal values stay apart."""
    assert read_caveat(b'{"exp":1}') == read_caveat(b'{"exp":1}') == Expiry(1)
    assert Scope(scope="a") != Audience(aud="a")


def test_every_kind_is_read():
    """There is a test above for every kind of caveat that can be read."""
    assert {type(caveat) for caveat, _ in ACCEPTED.values()} == set(Caveat.__args__)


@pytest.mark.parametrize(
    ("written", "caveat"),
    [
        (' { "exp" : 1 }\n', Expiry(1)),
        (b'{"\\u0065xp":1}', Expiry(1)),
        ('{"aud": ["a", "b"]}', Audience(("a", "b"))),
    ],
    ids=["white space", "an escape", "an array"],
)
def test_what_a_person_writes_is_mended_before_it_is_appended(written, caveat):
    """A caveat that a person wrote may be spaced and escaped as JSON allows; what is kept is canonical."""
    assert parse_caveat(written) == caveat


@pytest.mark.parametrize(
    "written",
    ['{"exp":1,"exp":2}', '{"cnf":{"x5t#S256":"a","x5t#S256":"b"}}', "{}", '{"exp":NaN}', "[" * 10**5],
    ids=["a repeated key", "a repeated key within", "empty", "not a number", "deep nesting"],
)
def test_what_a_person_repeats_is_refused(written):
    """A repeated key, or whatever is no caveat, is refused, not mended."""
    with pytest.raises(ValueError, match="caveat"):
        parse_caveat(written)
