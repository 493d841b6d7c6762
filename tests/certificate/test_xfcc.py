import pytest

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.certificate.xfcc import read_forwarded_client_cert
from macaroon_cbat.errors import AmbiguousHeader
from tests.support.certificate_spellings import escaped_pem, hex_hash, make_certificate

HOLDER, VICTIM = DerCertificate(make_certificate("holder")), DerCertificate(make_certificate("victim"))
HASH, FORGED = f"Hash={hex_hash(HOLDER)}", f"Hash={hex_hash(VICTIM)}"
CERT, FORGED_CERT = f'Cert="{escaped_pem(HOLDER)}"', f'Cert="{escaped_pem(VICTIM)}"'

TAKEN = {
    "an Issuer, as Envoy's issuer: true adds": f'{HASH};{CERT};Subject="CN=a";URI=;Issuer="CN=CA"',
    "an Issuer after names": f'{HASH};Subject="CN=a";URI=spiffe://a/b;DNS=a.example;Issuer="O=b"',
    "a quoted key that is not known": f'{HASH};Email="a@b.example"',
    "such a key in front": f'Email="a@b.example";{HASH}',
    "such a key twice": f'{HASH};Email="a@b.example";Email="c@d.example"',
    "such a key, empty": f'{HASH};Email=""',
    "another hash and an element in such a key": rf'{HASH};Email="x;{FORGED},{FORGED}"',
    "quotes and backslashes in such a key": rf'{HASH};Email="x\";{FORGED};y=\"\\"',
    "a forged hash in the subject": rf'{HASH};Subject="O=a\,{FORGED}\;{FORGED}"',
    "a forged element in the issuer": rf'{HASH};Subject="CN=a";Issuer="O=a\"\,{FORGED}\;q="',
    "a subject that ends in a backslash": rf'{HASH};Subject="O=a\\";Issuer="O=b\\"',
    "several URIs of the proxy": f"By=spiffe://a;By=spiffe://b;{HASH}",
    "such a key in each of two elements": f'{FORGED};Email="a",{HASH};Email="b"',
}
REFUSED = {
    "a key that is not known, not quoted": (f"{HASH};Email=a@b.example", "Email, which is not known"),
    "such a key, empty": (f"{HASH};Email=", "Email, which is not known"),
    "a known key in another case": (f'{HASH};hash="{hex_hash(VICTIM)}"', "has hash, which Envoy writes as"),
    "a known key in another case, not quoted": (f"hash={hex_hash(VICTIM)};{HASH}", "without quotes"),
    "a quoted hash": (f'Hash="{hex_hash(VICTIM)}"', "without quotes"),
    "a quoted URI": (f'{HASH};URI="spiffe://a"', "without quotes"),
    "a subject without quotes": (f"{HASH};Subject=CN", "in quotes"),
    "an issuer without quotes": (f"{HASH};Issuer=CN", "in quotes"),
    "a certificate without quotes": (f"{HASH};Cert=x", "in quotes"),
    "two hashes": (f"{HASH};{FORGED}", "Hash twice"),
    "two issuers": (f'{HASH};Issuer="a";Issuer="b"', "Issuer twice"),
    "two subjects": (f'{HASH};Subject="a";Subject="b"', "Subject twice"),
    "two certificates": (f"{HASH};{CERT};{CERT}", "Cert twice"),
    "a quote that stays open": (f'{HASH};Email="a', "as Envoy writes it"),
    "a quote that an escape keeps open": (rf'{HASH};Email="a\"', "as Envoy writes it"),
    "text after a quote": (f'{HASH};Email="a"b', "as Envoy writes it"),
    "a quote within": (f'{HASH};Email=a"b"', "as Envoy writes it"),
    "no key": (f'{HASH};="a"', "as Envoy writes it"),
    "a blank before the key": (f'{HASH}; Email="a"', "as Envoy writes it"),
    "a line end in a quote's place": (f'{HASH};Email="a"\n', "as Envoy writes it"),
    "nothing after a semicolon": (f"{HASH};", "as Envoy writes it"),
    "the quoted key alone": ('Email="a"', "no Hash"),
    "a hash in a quoted key alone": (f'Email="{HASH}"', "no Hash"),
    "a forged hash in a URI": (f"URI=x;{FORGED}", "Hash after names"),
    "a forged certificate in a URI": (f"{HASH};URI=x;{FORGED_CERT}", "Cert after names"),
    "a forged subject in a DNS name": (f'{HASH};DNS=x;Subject="CN=a"', "Subject after names"),
    "a forged element in a URI": (f"{HASH};URI=x,{FORGED}", "several XFCC elements"),
    "one that a quoted key should hide": (f'{HASH};DNS=x;E=",By=p;";DNS=y,{FORGED}', "several XFCC elements"),
    "a quote that swallows Envoy's own": (f'{HASH};URI=x;E=";Issuer="CN=a"', "as Envoy writes it"),
    "Envoy's JSON form": (f'[{{"hash":"{hex_hash(HOLDER)}"}}]', "format: TEXT"),
    "one element in JSON": (f'{{"hash":"{hex_hash(HOLDER)}"}}', "JSON form"),
    "a key of 65 characters": (f'{HASH};{"k" * 65}="a"', "as Envoy writes it"),
}


@pytest.mark.parametrize("text", TAKEN.values(), ids=TAKEN)
def test_a_quoted_key_that_is_not_known_changes_nothing(text):
    """The Hash of the nearest element is the peer's, whatever stands in quotes beside it."""
    assert read_forwarded_client_cert(text).thumbprint == thumbprint_of(HOLDER)


@pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_could_be_made_up_is_refused(text, problem):
    """Text that the owner of a certificate could have made a key of is refused, and the reason says so."""
    with pytest.raises(AmbiguousHeader, match=problem):
        read_forwarded_client_cert(text)
