"""tls_client_auth by SPIFFE ID: X.509-SVIDs of trust domains, each with a bundle of its own."""

import pytest
from cryptography import x509

from macaroon_cbat.errors import InvalidClient, SettingsError
from macaroon_cbat.service.oauth2.spiffe_trust import SpiffeTrust
from tests.support.certificates import SERVER_AUTH, authority, certified
from tests.support.databases import NOW
from tests.support.intermediates import ask
from tests.support.service import client_metadata, refused
from tests.support.svids import domain_ca, json_bundle, named_in_a_setting, svid, uri, with_key_usage

BILLING = "spiffe://prod.example/ns/billing/sa/worker"
ROOT = domain_ca(None)
PROD, STAGE = domain_ca("prod.example"), domain_ca("stage.example")
PROD_BELOW, STAGE_BELOW = domain_ca("prod.example", ROOT), domain_ca("stage.example", ROOT)
PLAIN_BELOW = authority("CN=Plain", PROD)
CLIENTS = {
    "exact": {"tls_client_auth_spiffe_id": BILLING},
    "pattern": {"tls_client_auth_spiffe_id": "spiffe://prod.example/ns/billing/*"},
    "stage": {"tls_client_auth_spiffe_id": "spiffe://stage.example/*"},
    "shared": {"tls_client_auth_spiffe_id": "spiffe://shared.example/*"},
    "by-uri": {"tls_client_auth_san_uri": BILLING},
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    (folder / "prod.pem").write_bytes(PROD.pem)
    (folder / "stage.json").write_bytes(json_bundle(STAGE))
    (folder / "shared.pem").write_bytes(ROOT.pem)
    return named_in_a_setting(
        prod_example=folder / "prod.pem",
        stage_example=folder / "stage.json",
        shared_example=folder / "shared.pem",
    )


@pytest.fixture
def spiffe(start, bundles):
    """Start a service with three trust domains, and clients of two of them."""
    service = start(is_kept=True, spiffe_bundles=bundles)
    for name, members in CLIENTS.items():
        metadata = client_metadata(token_endpoint_auth_method="tls_client_auth", **members)
        service.stores.clients.add(name, metadata, secret=None, now=NOW)
    return service


@pytest.mark.parametrize(
    ("client", "shown", "sent"),
    [
        pytest.param("exact", svid(PROD, BILLING), (), id="the ID"),
        pytest.param("pattern", svid(PROD, BILLING), (), id="an ID of the pattern"),
        pytest.param("exact", svid(PROD, BILLING, beside=(x509.DNSName("a.example"),)), (), id="a DNS name"),
        pytest.param("exact", svid(PROD, BILLING, usage=None), (), id="no extended key usage"),
        pytest.param("stage", svid(STAGE, "spiffe://stage.example/x"), (), id="a bundle in JSON"),
        pytest.param("exact", svid(PLAIN_BELOW, BILLING), (PLAIN_BELOW,), id="an intermediate"),
        pytest.param(
            "shared", svid(ROOT, "spiffe://shared.example/x"), (), id="a root that names no trust domain"
        ),
    ],
)
def test_a_workload_of_the_trust_domain_is_let_in(spiffe, client, shown, sent):
    """A workload whose own trust domain issued its SVID gets a token as the client of its ID."""
    assert ask(spiffe, shown, *sent, client=client).status_code == 200


OTHER_PROD = domain_ca("prod.example")
REFUSED = {
    "another ID": ("exact", svid(PROD, "spiffe://prod.example/ns/billing/sa/other"), ()),
    "a longer namespace": ("pattern", svid(PROD, "spiffe://prod.example/ns/billing2/sa/x"), ()),
    "above the pattern": ("pattern", svid(PROD, "spiffe://prod.example/ns/billing"), ()),
    "dots in the path": ("pattern", svid(PROD, "spiffe://prod.example/ns/billing/../admin"), ()),
    "a query": ("pattern", svid(PROD, BILLING + "?x"), ()),
    "an upper-case trust domain": ("exact", svid(PROD, BILLING.replace("prod", "PROD")), ()),
    "an upper-case scheme": ("exact", svid(PROD, BILLING.replace("spiffe", "SPIFFE")), ()),
    "two IDs": ("exact", svid(PROD, BILLING, "spiffe://prod.example/admin"), ()),
    "a URI beside": ("exact", svid(PROD, BILLING, "https://prod.example/"), ()),
    "the ID twice": ("exact", svid(PROD, BILLING, BILLING), ()),
    "no URI": ("exact", certified("CN=x", PROD), ()),
    "no alternative name that is read": ("exact", certified("CN=x", PROD, raw_names=b"\xff"), ()),
    "the ID as DNS name": ("exact", certified("CN=x", PROD, names=(x509.DNSName(BILLING[9:]),)), ()),
    "the ID as common name": ("exact", certified(f"CN={BILLING}", PROD), ()),
    "issued by another trust domain": ("exact", svid(STAGE, BILLING), ()),
    "an ID of another trust domain": ("stage", svid(PROD, "spiffe://stage.example/x"), ()),
    "an unknown trust domain": ("exact", svid(domain_ca("evil.example"), "spiffe://evil.example/x"), ()),
    "self-signed": ("exact", certified("CN=x", names=(uri(BILLING),)), ()),
    "another CA of the same name": ("exact", svid(OTHER_PROD, BILLING), (OTHER_PROD,)),
    "expired": ("exact", svid(PROD, BILLING, days=(-30, -1)), ()),
    "not yet valid": ("exact", svid(PROD, BILLING, days=(1, 30)), ()),
    "for servers": ("exact", svid(PROD, BILLING, usage=SERVER_AUTH), ()),
    "a CA": ("exact", authority("CN=x", PROD, names=(uri(BILLING),)), ()),
    "the CA of the trust domain": ("exact", PROD, ()),
    "an intermediate that is not sent": ("exact", svid(PLAIN_BELOW, BILLING), ()),
    "issued by a workload": ("exact", svid(svid(PROD, BILLING), BILLING), (svid(PROD, BILLING),)),
    "another trust domain's CA below a shared root": (
        "shared",
        svid(STAGE_BELOW, "spiffe://shared.example/x"),
        (STAGE_BELOW,),
    ),
    "no bytes of a certificate": ("exact", b"0\x03abc", ()),
    "no certificate": ("exact", None, ()),
    "a SAN URI is a matter of MACAROON_CBAT_CLIENT_CA": ("by-uri", svid(PROD, BILLING), ()),
}


@pytest.mark.parametrize(("client", "shown", "sent"), REFUSED.values(), ids=REFUSED)
def test_another_certificate_is_refused(spiffe, client, shown, sent):
    """A certificate that is no SVID of the client's own trust domain and path is invalid_client."""
    refused(ask(spiffe, shown, *sent, client=client), 401, "invalid_client")


@pytest.mark.parametrize("name", ["exact", "pattern", "stage"])
def test_without_a_bundle_no_svid_is_trusted(service, name):
    """While a trust domain has no bundle, none of its workloads is let in."""
    metadata = client_metadata(token_endpoint_auth_method="tls_client_auth", **CLIENTS[name])
    service.stores.clients.add(name, metadata, secret=None, now=NOW)
    refused(ask(service, svid(PROD, BILLING), client=name), 401, "invalid_client")


def test_a_trusted_ca_issues_no_spiffe_id(start, bundles, ca, ca_file):
    """The CAs of MACAROON_CBAT_CLIENT_CA verify no SPIFFE ID, and bundles no other name."""
    service = start(client_ca=ca_file, spiffe_bundles=bundles)
    for name, members in CLIENTS.items():
        metadata = client_metadata(token_endpoint_auth_method="tls_client_auth", **members)
        service.stores.clients.add(name, metadata, secret=None, now=NOW)
    by_ca, by_domain = certified("CN=x", ca, names=(uri(BILLING),)), svid(PROD, BILLING)
    answers = {
        (client, shown): ask(service, one, client=client).status_code
        for client in ("exact", "by-uri")
        for shown, one in (("CA", by_ca), ("domain", by_domain))
    }
    assert answers == {
        ("exact", "CA"): 401,
        ("exact", "domain"): 200,
        ("by-uri", "CA"): 200,
        ("by-uri", "domain"): 401,
    }


@pytest.mark.parametrize("bits", ["key_cert_sign", "crl_sign", "no digital_signature", "none"])
def test_a_key_for_another_use_is_refused(spiffe, bits):
    """The key of a workload signs, and neither certificates nor revocation lists (X509-SVID 4.3)."""
    refused(ask(spiffe, with_key_usage(PROD, BILLING, bits), client="exact"), 401, "invalid_client")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="missing"),
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="no keys"),
        pytest.param(json_bundle(), id="no certificates"),
        pytest.param(json_bundle(PROD, use="other"), id="certificates for another use"),
        pytest.param(json_bundle(PROD)[:-1], id="cut short"),
        pytest.param(json_bundle(PROD).replace(b"x5c", b"x5d"), id="a key without a certificate"),
        pytest.param(json_bundle(svid(PROD, BILLING)), id="a workload's certificate"),
        pytest.param(json_bundle(PROD, STAGE), id="a CA of another trust domain"),
        pytest.param(STAGE.pem, id="another trust domain's"),
        pytest.param(PROD.pem + b" " * (1 << 20), id="too large"),
    ],
)
def test_an_unusable_bundle_is_refused_at_the_start(start, tmp_path, content):
    """A bundle that is not the trust domain's is a SettingsError that names the variable and the file."""
    file = tmp_path / "prod.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=f"MACAROON_CBAT_SPIFFE_BUNDLES: {file}.*prod.example") as wrong:
        start(spiffe_bundles=f"prod.example={file}")
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    "text",
    ["x", "=x", "prod.example=", "Prod.example=x", "spiffe://prod.example=x", "a=x,a=y", "a=x,", "a=x;b=y,c"],
)
def test_a_malformed_list_of_bundles_is_refused_at_the_start(start, text):
    """Bundles are named by trust domain, each once, or the service does not start."""
    with pytest.raises(SettingsError, match=r"BUNDLES is malformed.*write prod\.example="):
        start(spiffe_bundles=text)


def test_a_replaced_bundle_applies(start, tmp_path):
    """A bundle is followed: a new CA is trusted, one taken out is not, a broken file changes nothing."""
    file = tmp_path / "prod.pem"
    file.write_bytes(PROD.pem)
    trust = SpiffeTrust({"prod.example": file})
    [followed] = trust.followed
    old, new = svid(PROD, BILLING), svid(OTHER_PROD, BILLING)

    def are_trusted():
        return [is_trusted(trust, one) for one in (old, new)]

    seen = [are_trusted()]
    for content in (OTHER_PROD.pem, b"{"):
        file.write_bytes(content)
        followed.look(anyway=True)
        seen.append(are_trusted())
    assert seen == [[True, False], [False, True], [False, True]]


def is_trusted(trust, shown):
    """Return True if the SVID is verified."""
    try:
        return str(trust.verified(shown.der, NOW, ())) == BILLING
    except InvalidClient:
        return False
