"""The rows of the fail-open matrix: what others' resource servers let through."""

from pathlib import Path

from macaroon_cbat.macaroon.identifier import identifier_text
from macaroon_cbat.macaroon.keys import write_key_file
from tests.support.ports import free_port
from tests.support.refusals import assert_passes, assert_refused
from tests.support.service_process import resource_server
from tests.support.target import FAR, Target
from tests.support.tokens import API, KEYS, grant, signed

WELL_KNOWN = "/.well-known/oauth-protected-resource"


def with_cnf(text: bytes) -> str:
    """Return an authentic token whose one caveat is this."""
    return signed(text, identifier=identifier_text(grant(exp=FAR)))


def test_a_token_without_cnf(target: Target):
    """A token without a confirmation is refused (PingGateway, Spring, Duende's sample, Auth0's SDK)."""
    assert_refused(target.call(target.token(), target.holder))


def test_cnf_without_a_thumbprint(target: Target):
    """A cnf that names no certificate binds nothing and is refused (Spring, liboauth2)."""
    thumbprint = target.thumbprint(target.holder).encode()
    assert_passes(target.call(with_cnf(b'{"cnf":{"x5t#S256":"%s"}}' % thumbprint), target.holder))
    for text in (
        b'{"cnf":{}}',
        b'{"cnf":null}',
        b'{"cnf":{"jkt":"%s"}}' % thumbprint,
        b'{"cnf":{"x5t":"%s"}}' % thumbprint,
        b'{"cnf":{"x5t#S256":null}}',
        b'{"cnf":{"x5t#S256":""}}',
        b'{"cnf":{"x5t#s256":"%s"}}' % thumbprint,
        b'{"cnf":{"x5t#S256":"%s","jkt":"%s"}}' % (thumbprint, thumbprint),
    ):
        assert_refused(target.call(with_cnf(text), target.holder))


def test_a_thumbprint_in_another_letter_case(target: Target):
    """A thumbprint that differs in letter case is another one (Duende's sample)."""
    thumbprint = target.thumbprint(target.holder)
    for text in {thumbprint.lower(), thumbprint.upper(), thumbprint.swapcase()} - {thumbprint}:
        assert_refused(target.call(with_cnf(b'{"cnf":{"x5t#S256":"%s"}}' % text.encode()), target.holder))


def test_a_certificate_header_from_any_client(target: Target):
    """A certificate header from a client counts for nothing (Keycloak before 2025, Gravitee, OpenShift)."""
    headers = {"X-Forwarded-Client-Cert": target.thumbprint(target.holder)}
    assert_refused(target.call(target.bound(), None, headers=headers))


def test_a_service_out_of_reach(target: Target, tmp_path: Path):
    """While revocations cannot be read no request passes: 503, not "check will be skipped" (Gravitee)."""
    asking = {"issuer": f"https://localhost:{free_port()}", "audience": API, "client_id": "a"}
    settings = {**asking, "client_secret": "s", "ca": target.server.folder / "ca.pem"}
    with resource_server(tmp_path / "api", introspection=settings) as server:
        answer = Target(server, target.holder, target.thief).call(target.bound(), target.holder)
    assert answer.status == 503
    assert answer.json()["error"] == "temporarily_unavailable"


def test_the_metadata_tell_the_truth(target: Target, tmp_path: Path):
    """The metadata say "bound" exactly where an unbound token is refused (Spring's hard-wired flag)."""
    keys = tmp_path / "keys.json"
    keys.write_bytes(write_key_file(KEYS))
    keys.chmod(0o600)
    with resource_server(tmp_path / "api", keys=keys, require_certificate=False) as server:
        lax = Target(server, target.holder, target.thief)
        for one, is_bound in ((target, True), (lax, False)):
            metadata = one.call(None, None, WELL_KNOWN).json()
            assert metadata["tls_client_certificate_bound_access_tokens"] is is_bound
            assert one.call(one.token(), None).status == (401 if is_bound else 200)
        # Also where unbound tokens are let in, a confirmation is judged.
        assert_refused(lax.call(lax.bound(), lax.thief))
        assert_refused(lax.call(lax.bound(), None))
