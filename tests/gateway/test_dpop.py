"""DPoP at the gateway: the proofs that proxies hand on, judged by the policy's origin."""

import json
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.gateway.policy_in_force import InForce, load_policy, put_in_force
from macaroon_cbat.gateway.question import KINDS, HttpQuestion
from macaroon_cbat.macaroon.caveats import key_confirmation
from macaroon_cbat.macaroon.keys import write_key_file
from macaroon_cbat.resource.responses import Answer
from tests.support.dpop import jkt, key, proof
from tests.support.gateway_process import RULES, gateway, replace_policy
from tests.support.gateway_tokens import good
from tests.support.tokens import API, KEYS

JKT = jkt(key())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in {"keys.json": write_key_file(KEYS), "nonces": b"0" * 64, "short": b"short"}.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def loaded(folder: Path, kind: str = "haproxy", **changes: Any) -> Any:
    fields = {"audience": API, "listen": {"http": "unix:x.sock"}, "keys": "keys.json", "require": "dpop"}
    proxy = {"kind": kind, "trust": ["unix"]}
    return load_policy(replace_policy(folder, RULES, **{**fields, **changes}, proxy=proxy))


def in_force(folder: Path, kind: str = "haproxy", **changes: Any) -> InForce:
    return put_in_force(loaded(folder, kind, **changes))


def asked(force: InForce, text: str, *proofs: str, path: str = "/invoices", kind: str = "haproxy") -> Answer:
    """Let a proxy ask about a GET with this token, and these proofs."""
    fields = [
        (b"X-Forwarded-Method", b"GET"),
        (b"X-Forwarded-Uri", path.encode()),
        (b"Authorization", f"DPoP {text}".encode()),
        *((b"DPoP", one.encode()) for one in proofs),
        *_without_certificate(kind),
    ]
    connection = RawConnection(fields, address=None, is_unix_socket=True)
    target = f"/envoy{path}" if kind == "envoy" else "/"
    answer = force.gateway.decide(HttpQuestion(connection, "GET", target))
    assert isinstance(answer, Answer)
    return answer


def _without_certificate(kind: str) -> list[tuple[bytes, bytes]]:
    return {
        "haproxy": [(b"Clientcertx5t", b"none")],
        "nginx": [(b"Clientcert", b""), (b"Clientcertverify", b"NONE")],
        "caddy": [(b"Clientcertsha256", sha256(b"").hexdigest().encode())],
        "traefik": [],
        "envoy": [],
    }[kind]


def token() -> str:
    return good(None, key_confirmation(JKT))  # type: ignore[arg-type]


def proving(text: str, **claims: Any) -> str:
    return proof(text, **{"iat": int(time.time()), **claims})


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_proxy_hands_proofs_on(folder: Path, kind: str):
    """A key-bound token with a proof for this method and URL is admitted, whichever kind of proxy asks."""
    force, text = in_force(folder, kind), token()
    answer = asked(force, text, proving(text), kind=kind)
    assert (answer.status, dict(answer.headers)["Principalclient"]) == (200, "billing")
    assert dict(answer.headers)["Principalcertificate"] == ""


def test_the_query_is_no_part_of_the_target(folder: Path):
    """A proof covers the path of a request, and not its query (RFC 9449 4.2)."""
    text = token()
    assert asked(in_force(folder), text, proving(text), path="/invoices?page=2").status == 200


BAD = {
    "none": lambda text: (),
    "two": lambda text: (proving(text), proving(text)),
    "another path's": lambda text: (proving(text, htu=f"{API}/any"),),
    "another host's": lambda text: (proving(text, htu="https://gateway.example/invoices"),),
    "another method's": lambda text: (proving(text, htm="POST"),),
    "another token's": lambda text: (proving("x"),),
    "forged": lambda text: (proving(text)[:-86] + "A" * 86,),
    "old": lambda text: (proving(text, iat=int(time.time()) - 120),),
}


@pytest.mark.parametrize("proofs", BAD.values(), ids=BAD)
def test_a_proof_that_does_not_hold_is_refused(folder: Path, proofs: Any):
    """Without one proof for this very request no server behind the gateway is reached."""
    text = token()
    answer = asked(in_force(folder), text, *proofs(text))
    assert answer.status == 401
    assert json.loads(answer.body)["error"] == "invalid_dpop_proof"
    assert dict(answer.headers)["WWW-Authenticate"].startswith("DPoP ")


def test_a_reload_forgets_no_proof(folder: Path):
    """A proof that was used before a reload of the policy is used after it, over whichever protocol."""
    before, text = in_force(folder), token()
    used = proving(text)
    assert asked(before, text, used).status == 200
    assert asked(before, text, used).status == 401
    after = put_in_force(loaded(folder, clock_skew=31), before)
    assert asked(after, text, used).status == 401
    assert after.gateway.admission.proofs.used is before.gateway.admission.proofs.used


def test_a_greater_clock_skew_brings_no_proof_back(folder: Path):
    """A proof that was used is not usable again once a reload lets older ones in."""
    before, text = in_force(folder), token()
    used = proving(text)
    assert asked(before, text, used).status == 200
    after = put_in_force(loaded(folder, clock_skew=300), before)
    gateway = after.gateway
    later = structs.replace(gateway.admission, clock=lambda: time.time() + 120)
    after = structs.replace(after, gateway=structs.replace(gateway, admission=later))
    assert asked(after, text, proving(text)).status == 200
    assert asked(after, text, used).status == 401


def test_the_policy_requires_nonces(folder: Path):
    """With dpop_nonce_secret_file a proof needs a nonce, which a gateway with the same secret accepts."""
    one, other = (in_force(folder, dpop_nonce_secret_file="nonces") for _ in range(2))
    text = token()
    answer = asked(one, text, proving(text))
    assert json.loads(answer.body)["error"] == "use_dpop_nonce"
    assert asked(other, text, proving(text, nonce=dict(answer.headers)["DPoP-Nonce"])).status == 200


MISTAKES = {
    "another word": ({"require": "mtls"}, "one of certificate, dpop and either"),
    "a contradiction": ({"require_certificate": False}, "contradict each other"),
    "a short secret": ({"dpop_nonce_secret_file": "short"}, "dpop_nonce_secret_file: the secret of nonces"),
    "no web URL": ({"audience": "urn:api", "keys": "keys.json"}, "urn:api"),
}


@pytest.mark.parametrize(("changes", "reason"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_the_policy_is_named(folder: Path, changes: dict[str, Any], reason: str):
    """A policy that could only fail is refused, in words that name the member."""
    with pytest.raises(SettingsError, match=reason):
        in_force(folder, **changes)


def test_all_workers_know_what_one_has_seen(tmp_path: Path):
    """Of many questions with one proof one is admitted, by any worker, also of those that come later."""
    text = token()
    fields = {
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Uri": "/invoices",
        "Clientcert": "",
        "Clientcertverify": "NONE",
        "Authorization": f"DPoP {text}",
        "DPoP": proving(text),
    }
    with gateway(tmp_path / "gateway", "--workers", "3", require="either") as running:
        assert sorted(running.ask(fields).status for _ in range(20)) == [200, *[401] * 19]
        running.signal_workers()
        running.await_log("worker")
        assert {running.ask(fields).status for _ in range(5)} == {401}
