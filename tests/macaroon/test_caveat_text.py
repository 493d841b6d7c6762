import pytest

from macaroon_cbat.macaroon.caveats import (
    Audience,
    Caveat,
    Expiry,
    NotBefore,
    PathPrefix,
    Scope,
    caveat_text,
    read_caveats,
)
from tests.support.caveat_values import ACCEPTED, PROHIBITED
from tests.support.tokens import CERTIFICATE

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
    "two members, the second unknown": b'{"exp":1,"x":1}',
    "a repeated key": b'{"exp":1,"exp":9}',
    "a repeated key with the same value": b'{"exp":1,"exp":1}',
    "a repeated key, escaped": b'{"exp":9,"\\u0065xp":1}',
    "a repeated key, escaped otherwise": b'{"e\\u0078p":9,"ex\\u0070":1}',
    "a repeated key among several": b'{"exp":1,"scope":"read","exp":9}',
    "a repeated key of an unknown member": b'{"exp":1,"x":{"a":1,"a":2}}',
    "an unknown member before": b'{"x":1,"exp":1}',
    "an unknown member of no name": b'{"exp":1,"":0}',
    "a name that looks the same": '{"\u0435xp":1}'.encode(),
    "a name with white space": b'{"exp ":1}',
    "a trailing comma": b'{"exp":1,}',
    "a trailing comma in an array": b'{"aud":["a:b",]}',
    "a comma alone": b"{,}",
    "a comment": b'{"exp":1/* soon */}',
    "a line comment": b'{"exp":1} // soon',
    "single quotes": b"{'exp':1}",
    "no quotes": b"{exp:1}",
    "NaN": b'{"exp":NaN}',
    "Infinity": b'{"exp":Infinity}',
    "-Infinity": b'{"nbf":-Infinity}',
    "NaN in an unknown member": b'{"exp":1,"x":NaN}',
    "a no-break space": b'{"exp":\xc2\xa01}',
    "a form feed": b'{"exp":\x0c1}',
    "a raw NUL": b'{"exp":1}\0',
    "a raw NUL in a string": b'{"aud":"a\0b"}',
    "a raw line end in a string": b'{"aud":"a\nb"}',
    "an unknown escape": b'{"aud":"\\x61"}',
    "a capital escape": b'{"aud":"\\U0061"}',
    "an overlong UTF-8 name": b'{"\xc1\xa5xp":1}',
    "a surrogate in UTF-8": b'{"aud":"\xed\xa0\x80"}',
    "surrogates the wrong way round": b'{"aud":"\\udc00\\ud800"}',
    "a lone surrogate in a name": b'{"exp":1,"\\ud800":1}',
    "UTF-32": '{"exp":1}'.encode("utf-32-le"),
    "moderate nesting": b'{"aud":' + b"[" * 4 + b'"a:b"' + b"]" * 5,
    "deep nesting, closed": b'{"aud":' + b"[" * 3000 + b"]" * 3000 + b"}",
    "deep nesting beside": b'{"exp":1,"x":' + b'{"x":' * 900 + b"1" + b"}" * 901,
    "trailing bytes": b'{"exp":1}{"exp":1}',
    "a byte order mark": b'\xef\xbb\xbf{"exp":1}',
    "not UTF-8": b'{"aud":"\xff"}',
    "a lone surrogate": b'{"aud":"\\ud800"}',
    "UTF-16": '{"exp":1}'.encode("utf-16"),
    "deep nesting": b'{"aud":' + b"[" * 5000,
    "exp as a string": b'{"exp":"1"}',
    "exp with a fraction": b'{"exp":1767225600.5}',
    "exp with an exponent and a fraction": b'{"exp":15e-1}',
    "exp beyond IEEE 754": b'{"exp":1e400}',
    "exp below IEEE 754": b'{"exp":-1e400}',
    "exp with a huge exponent": b'{"exp":1e999999999999999999999}',
    "exp beyond 53 bits, as a float": b'{"exp":9007199254740992.0}',
    "exp of 5,000 digits": b'{"exp":' + b"9" * 5000 + b"}",
    "exp in hexadecimal": b'{"exp":0x1}',
    "exp with a plus": b'{"exp":+1}',
    "exp without digits before the point": b'{"exp":.5}',
    "exp without digits after the point": b'{"exp":1.}',
    "exp with digits of another script": '{"exp":\u0661}'.encode(),
    "exp with an underscore": b'{"exp":1_0}',
    "exp negative": b'{"exp":-1}',
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
    "cnf with an unknown member alone": b'{"cnf":{"kid":"' + CNF + b'"}}',
    "cnf with an unknown member more": b'{"cnf":{"x5t#S256":"' + CNF + b'","kid":"x"}}',
    "cnf with an unknown member and a key": b'{"cnf":{"jkt":"' + CNF + b'","kid":"x"}}',
    "cnf with a key that is none": b'{"cnf":{"x5t#S256":"' + CNF + b'","jkt":"x"}}',
    "cnf with a key that is null": b'{"cnf":{"jkt":null}}',
    "cnf with a whole JWK": b'{"cnf":{"jwk":{"kty":"OKP"}}}',
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


SPELLED = {
    "compact": (b'{"exp":1}', [Expiry(1)]),
    "spaces": (b' { "exp" : 1 } ', [Expiry(1)]),
    "every white space of JSON": (b'\t\r\n{\n\t"exp"\r:\n1 }\n', [Expiry(1)]),
    "an escaped name": (b'{"\\u0065xp":1}', [Expiry(1)]),
    "an escaped value": (b'{"scope":"\\u0072ead"}', [Scope("read")]),
    "an escaped slash": (b'{"path":"\\/a"}', [PathPrefix("/a")]),
    "an escape in capitals and small letters": (b'{"path":"/\\u00E9\\u00e9"}', [PathPrefix("/éé")]),
    "a surrogate pair": (b'{"path":"/\\ud83d\\ude00"}', [PathPrefix("/😀")]),
    "a number with a fraction of zero": (b'{"exp":1.0}', [Expiry(1)]),
    "a number with an exponent": (b'{"exp":1.7672256E9}', [Expiry(1767225600)]),
    "minus zero": (b'{"nbf":-0}', [NotBefore(0)]),
    "an array with spaces": (b'{"aud": [ "a:b" , "c:d" ]}', [Audience(("a:b", "c:d"))]),
    "several members": (b'{"exp":1,"nbf":0,"scope":"read"}', [Expiry(1), NotBefore(0), Scope("read")]),
    "several members in another order": (b'{"scope":"read","exp":1}', [Scope("read"), Expiry(1)]),
}


@pytest.mark.parametrize(("text", "caveats"), SPELLED.values(), ids=SPELLED)
def test_a_caveat_is_read_by_its_value(text, caveats):
    """However JSON spells a caveat, it is the same one, and of several members each is a caveat."""
    assert list(read_caveats(text)) == caveats


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_is_no_caveat_is_refused(text):
    """A text that is no JSON object of known members, or has two readings, is refused."""
    with pytest.raises(ValueError, match="caveat"):
        read_caveats(text)


NAMED = {
    "a repeated key": (b'{"exp":9,"e\\u0078p":1}', "repeats the key 'exp'"),
    "a repeated key within": (b'{"cnf":{"x5t#S256":"a","x5t#S256":"b"}}', "repeats the key 'x5t#S256'"),
    "a trailing comma": (b'{"exp":1,\n}', "trailing comma"),
    "NaN": (b'{"exp":NaN}', "NaN"),
    "Infinity": (b'{"exp":-Infinity}', "-Infinity"),
    "an unknown member": (b'{"exp":1,"role":"x"}', "unknown caveat 'role'"),
    "an unknown member within": (
        b'{"cnf":{"kid":"x"}}',
        r"cnf\.kid is unknown: correct its name|cnf\.x5t#S256 is missing: add it",
    ),
    "half a surrogate pair": (b'{"aud":"\\ud800"}', "half a surrogate pair"),
    "nesting": (b'{"exp":' + b"[" * 9000, "nested too deeply"),
    "some nesting": (b'{"aud":[["a:b"]]}', r"aud(\[0\])? is a list: write text"),
    "a number beyond IEEE 754": (b'{"exp":1e400}', "1e400, which is beyond"),
    "text for a number": (b'{"exp":"5"}', "exp is text: write a whole number"),
    "a number for text": (b'{"aud":["a:b",5]}', r"aud\[1\] is a whole number: write text"),
    "an empty list": (b'{"htm":[]}', "htm is a list without anything in it: name one at least"),
    "a method that is none": (b'{"htm":"G T"}', "htm is malformed: write an HTTP method, such as GET"),
    "one of several that is none": (b'{"htm":["GET","G T"]}', r"htm\[1\] is malformed: write an HTTP method"),
    "a number below": (b'{"exp":-1}', "exp is too small: write a whole number, 0 at least"),
    "a number above": (
        b'{"exp":9007199254740992}',
        "exp is too large: write a whole number, 9007199254740991",
    ),
    "a fraction": (b'{"exp":1767225600.5}', "exp 1767225600.5 has a fraction: write whole seconds"),
    "too many digits": (b'{"exp":' + b"1" * 400 + b"}", "a number of 400 digits"),
    "a byte order mark": (b'\xef\xbb\xbf{"exp":1}', "byte order mark"),
    "not UTF-8": (b'{"aud":"\xff"}', "not UTF-8"),
    "a raw NUL": (b'{"aud":"a\0"}', "no JSON at character 10"),
    "no member": (b"{}", "restricts nothing"),
    "no object": (b'["exp",1]', "no JSON object"),
    "text": (b"time < 2030", "no JSON at character 1"),
}


@pytest.mark.parametrize(("text", "reason"), NAMED.values(), ids=NAMED)
def test_a_refusal_names_its_cause(text, reason):
    """The reason of a refusal says in words what is wrong with the text, in one short printable line."""
    with pytest.raises(ValueError, match=reason) as refusal:
        read_caveats(text)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    "caveat", [caveat for caveat, _ in (ACCEPTED | PROHIBITED).values()], ids=ACCEPTED | PROHIBITED
)
def test_a_caveat_reads_back(caveat):
    """A caveat that caveat_text writes is read by read_caveats to an equal caveat."""
    assert read_caveats(caveat_text(caveat)) == (caveat,)


def test_a_long_text_is_not_repeated_in_full():
    """The reason of a refusal quotes the beginning of the text only: an attacker does not fill the log."""
    with pytest.raises(ValueError, match="unknown caveat") as refusal:
        read_caveats(b'{"' + b"x" * 5000 + b'":1}')
    assert len(str(refusal.value)) < 200


def test_a_log_line_stays_one_line():
    """The reason of a refusal is one printable line, whatever the text."""
    with pytest.raises(ValueError, match="malformed caveat") as refusal:
        read_caveats(b'{"a\r\n\x1b[31mINFO all is well":1}')
    assert str(refusal.value).isprintable()


def test_one_caveat_is_not_another():
    """Reading the same text again gives an equal caveat; kinds with equal values stay apart."""
    assert read_caveats(b'{"exp":1}') == read_caveats(b'{"exp":1}') == (Expiry(1),)
    assert Scope(scope="a") != Audience(aud="a")


def test_every_kind_is_read():
    """There is a test above for every kind of caveat that can be read."""
    assert {type(caveat) for caveat, _ in ACCEPTED.values()} == set(Caveat.__args__)
