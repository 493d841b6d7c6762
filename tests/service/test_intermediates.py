"""tls_client_auth with the certificates that clients send beside their own: candidates, and never trusted."""

import shlex
import subprocess
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from macaroon_cbat.service.oauth2.certificate_paths import MOST_SENT, paths, read_sent, vouched_for
from tests.support.certificates import SERVER_AUTH, TODAY, Identity, authority, certified, key_usage
from tests.support.databases import NOW
from tests.support.intermediates import DN, DNS, ask
from tests.support.service import Service, client_metadata, refused

OTHER_ROOT = authority()
"""A root with the name of the trusted one."""


@pytest.fixture
def trusting(trusting_ca) -> Service:
    """Start a service that trusts the one root, and a client known by its subject, another by a DNS name."""
    service: Service = trusting_ca
    names: dict[str, dict[str, str]] = {
        "by-dn": {"tls_client_auth_subject_dn": DN},
        "by-dns": {"tls_client_auth_san_dns": DNS},
    }
    for name, members in names.items():
        metadata = client_metadata(token_endpoint_auth_method="tls_client_auth", **members)
        service.stores.clients.add(name, metadata, secret=None, now=NOW)
    return service


def test_an_intermediate_of_the_client_completes_a_chain(trusting, ca):
    """A client that sends the intermediate that issued its certificate is let in, and without it is not."""
    middle = authority("CN=Sub CA", ca)
    shown = certified(DN, middle)
    assert ask(trusting, shown, middle).status_code == 200
    refused(ask(trusting, shown), 401, "invalid_client")


def chain_of(root: Identity, length: int) -> list[Identity]:
    """Return so many intermediates below a root, the lowest first."""
    chain = [root]
    for number in range(length):
        chain.insert(0, authority(f"CN=Sub CA {number}", chain[0]))
    return chain[:-1]


@pytest.mark.parametrize("length", [2, 3, 6])
@pytest.mark.parametrize("order", [1, -1], ids=["lowest first", "highest first"])
def test_several_intermediates_do(trusting, ca, length, order):
    """Intermediates complete a chain in whatever order they come."""
    chain = chain_of(ca, length)
    assert ask(trusting, certified(DN, chain[0]), *chain[::order]).status_code == 200


def test_what_else_a_client_sends_does_no_harm(trusting, ca):
    """The root, the client's own certificate, another CA and bytes that are none do no harm."""
    middle = authority("CN=Sub CA", ca)
    shown = certified(DN, middle)
    more = (b"", b"\x30\x03abc", shown, ca, OTHER_ROOT, shown.der[:-1])
    assert ask(trusting, shown, *more, middle).status_code == 200


def test_more_than_eight_are_not_looked_at(trusting, ca):
    """The ninth certificate beside the client's own is not looked at."""
    middle = authority("CN=Sub CA", ca)
    shown = certified(DN, middle)
    assert ask(trusting, shown, *[b"\x30\x00"] * 7, middle).status_code == 200
    refused(ask(trusting, shown, *[b"\x30\x00"] * MOST_SENT, middle), 401, "invalid_client")


def renewed(old: Identity, issuer: Identity, days: tuple[int, int] = (-1, 30)) -> Identity:
    """Return another certificate of the same CA with the same key."""
    again = certified("CN=Sub CA", issuer, is_authority=True, key=old.key, days=days)
    assert again.certificate.subject == old.certificate.subject
    return again


@pytest.mark.parametrize("order", [1, -1])
def test_one_valid_path_of_two_is_enough(trusting, ca, order):
    """A cross-signed intermediate is taken by the certificate that is valid, whatever the other one is."""
    middle = authority("CN=Sub CA", ca)
    shown = certified(DN, middle)
    for other in (renewed(middle, OTHER_ROOT), renewed(middle, ca, (-30, -1))):
        assert ask(trusting, shown, *(other, middle)[::order]).status_code == 200
        refused(ask(trusting, shown, other), 401, "invalid_client")


def with_subtrees(*, excluded: bool = False, critical: bool = True, tree: x509.GeneralName) -> dict[str, Any]:
    constraints = x509.NameConstraints(None, [tree]) if excluded else x509.NameConstraints([tree], None)
    return {"more": ((constraints, critical),)}


DIRECTORY = x509.DirectoryName(x509.Name.from_rfc4514_string("O=Evil"))
MIDDLES: dict[str, dict[str, Any]] = {
    "that is no CA": {"is_authority": False, "days": (-1, 30)},
    "that expired": {"days": (-30, -1)},
    "that is not yet valid": {"days": (1, 30)},
    "for servers": {"more": ((x509.ExtendedKeyUsage([SERVER_AUTH]), False),)},
    "for servers, critical": {"more": ((x509.ExtendedKeyUsage([SERVER_AUTH]), True),)},
    "with a short key": {"key": rsa.generate_private_key(65537, 1024)},
    "with a small curve": {"key": ec.generate_private_key(ec.SECP192R1())},
    "that constrains subjects": with_subtrees(tree=DIRECTORY),
    "that constrains subjects, not critical": with_subtrees(tree=DIRECTORY, critical=False),
    "that excludes subjects, not critical": with_subtrees(tree=DIRECTORY, critical=False, excluded=True),
    "with a policy constraint": {"more": ((x509.PolicyConstraints(0, None), True),)},
    "with no policy allowed": {"more": ((x509.InhibitAnyPolicy(0), True),)},
    "with an unknown critical extension": {
        "more": ((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.2"), b"\5\0"), True),)
    },
}


@pytest.mark.parametrize("options", MIDDLES.values(), ids=MIDDLES)
def test_an_intermediate_that_may_not_issue_lets_no_client_in(trusting, ca, options):
    """A certificate of the trusted root that may not issue this one completes no chain."""
    middle = authority("CN=Sub CA", ca, **options)
    refused(ask(trusting, certified(DN, middle), middle), 401, "invalid_client")


def signed_by_openssl(folder: Path, root: Identity, middle: Identity, digest: str) -> bytes:
    """Return the certificate of an intermediate that a root signed over this hash."""
    (folder / "root.pem").write_bytes(root.pem + root.key_pem)
    (folder / "middle.key").write_bytes(middle.key_pem)
    (folder / "extensions").write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign")
    for command in (
        "req -new -key middle.key -subj /CN=Sub\\ CA -out csr",
        f"x509 -req -in csr -CA root.pem -CAkey root.pem {digest} -extfile extensions -outform DER -out der",
    ):
        arguments = ["openssl", *shlex.split(command)]
        subprocess.run(arguments, cwd=folder, check=True, capture_output=True)
    return (folder / "der").read_bytes()


@pytest.mark.parametrize(("digest", "status"), [("-sha256", 200), ("-sha1", 401), ("-md5", 401)])
def test_a_broken_hash_in_the_middle_lets_no_client_in(start, tmp_path, digest, status):
    """An intermediate that its root signed over SHA-1 or MD5 completes no chain."""
    root = authority("CN=Root", key=rsa.generate_private_key(65537, 2048))
    middle = authority("CN=Sub CA", root)
    der = signed_by_openssl(tmp_path, root, middle, digest)
    (tmp_path / "ca.pem").write_bytes(root.pem)
    service = start(client_ca=tmp_path / "ca.pem")
    metadata = client_metadata(token_endpoint_auth_method="tls_client_auth", tls_client_auth_subject_dn=DN)
    service.stores.clients.add("by-dn", metadata, secret=None, now=NOW)
    service.now = time.time()  # openssl knows no other
    shown = certified(DN, middle, today=datetime.fromtimestamp(service.now, UTC))
    assert ask(service, shown, der).status_code == status


NAMES = (x509.DNSName(DNS),)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        pytest.param(with_subtrees(tree=x509.DNSName("example")), 200, id="this DNS name"),
        pytest.param(with_subtrees(tree=x509.DNSName("evil.example")), 401, id="other DNS names"),
        pytest.param(
            with_subtrees(tree=x509.DNSName("evil.example"), critical=False), 401, id="so, not critical"
        ),
        pytest.param(with_subtrees(tree=x509.DNSName("example"), excluded=True), 401, id="not this DNS name"),
        pytest.param(with_subtrees(tree=x509.IPAddress(ip_network("10.0.0.0/8"))), 200, id="addresses alone"),
    ],
)
@pytest.mark.parametrize("depth", [0, 1])
def test_constraints_of_names_hold(trusting, ca, options, status, depth):
    """The names that a sub-CA is constrained to hold for what it, and CAs below it, issue."""
    constrained = authority("CN=Sub CA", ca, **options)
    chain = [constrained, *([authority("CN=Lower CA", constrained)] * depth)][::-1]
    answer = ask(trusting, certified("CN=x", chain[0], names=NAMES), *chain, client="by-dns")
    assert answer.status_code == status


def test_the_length_of_a_path_holds(trusting, ca):
    """A CA that may issue to clients alone has no CA below it."""
    last = authority("CN=Sub CA", ca, path_length=0)
    assert ask(trusting, certified(DN, last), last).status_code == 200
    below = authority("CN=Lower CA", last)
    refused(ask(trusting, certified(DN, below), below, last), 401, "invalid_client")


def test_a_key_usage_without_signing_certificates_holds(trusting, ca):
    """A CA whose key usage is not signing certificates completes no chain."""
    builder = x509.CertificateBuilder(
        issuer_name=ca.certificate.subject,
        subject_name=x509.Name.from_rfc4514_string("CN=Sub CA"),
        public_key=OTHER_ROOT.key.public_key(),
        serial_number=7,
        not_valid_before=TODAY - timedelta(days=1),
        not_valid_after=TODAY + timedelta(days=1),
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(key_usage(is_authority=False), critical=True)
    middle = Identity(builder.sign(ca.key, hashes.SHA256()), OTHER_ROOT.key)
    refused(ask(trusting, certified(DN, middle), middle), 401, "invalid_client")


def test_a_root_that_a_client_sends_is_none(trusting):
    """An attacker's own root, of the trusted one's name, with intermediates or without, admits no client."""
    middle = authority("CN=Sub CA", OTHER_ROOT)
    refused(ask(trusting, certified(DN, OTHER_ROOT), OTHER_ROOT), 401, "invalid_client")
    refused(ask(trusting, certified(DN, middle), middle, OTHER_ROOT), 401, "invalid_client")
    alone = authority(DN)
    refused(ask(trusting, alone, alone), 401, "invalid_client")
    refused(ask(trusting, certified(DN), certified(DN)), 401, "invalid_client")


def test_an_intermediate_of_the_same_name_is_another(trusting, ca):
    """An intermediate that names the one that issued a certificate, but has another key, is none of it."""
    real, forged = authority("CN=Sub CA", ca), authority("CN=Sub CA", OTHER_ROOT)
    refused(ask(trusting, certified(DN, forged), real), 401, "invalid_client")
    refused(ask(trusting, certified(DN, forged), forged, real), 401, "invalid_client")


def test_a_client_is_no_ca_for_another(trusting, ca):
    """The owner of a client's certificate issues none, at whatever depth."""
    middle = authority("CN=Sub CA", ca)
    owner = certified("CN=evil", middle)
    refused(ask(trusting, certified(DN, owner), owner, middle), 401, "invalid_client")
    lower = authority("CN=Lower CA", owner)
    refused(ask(trusting, certified(DN, lower), lower, owner, middle), 401, "invalid_client")


def test_a_sub_ca_is_no_client(trusting, ca):
    """The certificate of a CA is no client's, though it has the client's subject."""
    named = authority(DN, ca)
    refused(ask(trusting, named, named), 401, "invalid_client")


def looping(root: Identity) -> list[Identity]:
    """Return eight CAs of one name and key, each of which could have issued each."""
    first = authority("CN=Loop", root)
    return [first, *(certified("CN=Loop", first, is_authority=True, key=first.key) for _ in range(7))]


def crossing(root: Identity) -> list[Identity]:
    """Return eight CAs of two names, each of which could have issued each one of the other name."""
    one = authority("CN=One", root)
    two = authority("CN=Two", one)
    ones = [certified("CN=One", two, is_authority=True, key=one.key) for _ in range(3)]
    twos = [certified("CN=Two", one, is_authority=True, key=two.key) for _ in range(3)]
    return [one, two, *ones, *twos]


@pytest.mark.parametrize("make", [looping, crossing])
@pytest.mark.parametrize("is_trusted", [True, False], ids=["below the root", "below another"])
def test_loops_end(trusting, ca, make, is_trusted):
    """Intermediates that issued each other are a few paths, and never a thousand million."""
    chain = make(ca if is_trusted else OTHER_ROOT)
    shown = certified(DN, chain[-1])
    assert ask(trusting, shown, *chain).status_code == (200 if is_trusted else 401)
    roots = [ca.certificate]
    found = vouched_for(read_sent([one.der for one in chain]), roots)
    assert len(found) == (8 if is_trusted else 0)
    assert len(list(paths(shown.certificate, roots, found))) <= 8


def test_a_stray_key_verifies_nothing(ca):
    """A certificate counts as an intermediate only below a root: a client's own keys are not used at all."""
    middle = authority("CN=Sub CA", OTHER_ROOT)
    lower = authority("CN=Lower CA", middle)
    sent = read_sent([lower.der, middle.der, OTHER_ROOT.der])
    assert len(sent) == 3
    assert vouched_for(sent, [ca.certificate]) == []


POLICIES = x509.CertificatePolicies(
    [x509.PolicyInformation(x509.ObjectIdentifier("1.2.3.4"), ["https://ca.example/cps"])]
)


@pytest.mark.parametrize("critical", [True, False])
def test_policies_are_taken(start, tmp_path, critical):
    """Certificate policies, critical or not, are any that a CA has, in every certificate of a chain."""
    extension = {"more": ((POLICIES, critical),)}
    root = authority("CN=Root", **extension)
    middle = authority("CN=Sub CA", root, **extension)
    (tmp_path / "root.pem").write_bytes(root.pem)
    service = start(client_ca=tmp_path / "root.pem")
    metadata = client_metadata(token_endpoint_auth_method="tls_client_auth", tls_client_auth_subject_dn=DN)
    service.stores.clients.add("by-dn", metadata, secret=None, now=NOW)
    assert ask(service, certified(DN, middle, **extension), middle).status_code == 200


def test_policies_that_cannot_be_read_are_refused(trusting, ca):
    """Critical policies that cannot be read are refused (RFC 5280 4.2.1.4)."""
    broken = x509.UnrecognizedExtension(x509.CertificatePolicies.oid, b"\x30\x01\xff")
    refused(ask(trusting, certified(DN, ca, more=((broken, True),))), 401, "invalid_client")


@pytest.mark.parametrize(
    "usage",
    [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE],
    ids=["client", "any"],
)
@pytest.mark.parametrize("critical", [True, False])
def test_an_intermediate_for_clients_may_say_so(trusting, ca, usage, critical):
    """An intermediate whose extended key usage is clients, or any, completes a chain."""
    middle = authority("CN=Sub CA", ca, more=((x509.ExtendedKeyUsage([usage]), critical),))
    assert ask(trusting, certified(DN, middle), middle).status_code == 200


@pytest.mark.parametrize("method", ["client_secret_basic", "self_signed_tls_client_auth"])
def test_other_methods_do_not_look_at_them(trusting, ca, method):
    """A client of another method is let in as ever, whatever it sends beside its certificate."""
    shown = certified("CN=a")
    if method == "self_signed_tls_client_auth":
        metadata = client_metadata(token_endpoint_auth_method=method, certificates=(shown.thumbprint,))
        trusting.stores.clients.add("by-hash", metadata, secret=None, now=NOW)
        assert ask(trusting, shown, OTHER_ROOT, b"\xff", client="by-hash").status_code == 200
        refused(ask(trusting, certified("CN=a", ca), ca, client="by-hash"), 401, "invalid_client")
    else:
        assert trusting.ask_token("billing", shown).status_code == 200
