"""The offline verifier: what it stands on, and what may stand in while that is stale."""

import subprocess
import sys

import pytest

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.errors import Revoked, SettingsError, Unavailable
from macaroon_cbat.macaroon.custom import CustomCaveat
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.keys import audience_keys, write_key_file
from macaroon_cbat.resource import Introspection
from macaroon_cbat.resource.blocking import announces_blocking
from macaroon_cbat.resource.key_file import KeyFile
from macaroon_cbat.resource.settings import make_admission
from macaroon_cbat.resource.verifier import OfflineVerifier
from tests.support.guarded_app import bound, call, make_app
from tests.support.tokens import ACCESS, API, ISSUER, KEYS, OTHER_API, ROOT, token


class Followed:
    """Revocations of one issuer that a deployer follows in a way of their own."""

    announces_blocking = True

    def __init__(self, answer: str | Exception | None = None, issuer: str = ISSUER) -> None:
        self.answer, self.issuer = answer, issuer

    def reason(self, _grant: Grant, _certificate: Thumbprint | None, /) -> str | None:
        """Answer as told."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


STALE = Unavailable("the revocations are 61 s old")


def test_a_key_file_of_another_issuer_has_no_revocations(tmp_path):
    """After a key file was replaced by another issuer's, whose revocations are unknown, nothing passes."""
    file, seconds = tmp_path / "keys.json", [0.0]
    file.touch(mode=0o600)
    file.write_bytes(write_key_file(KEYS))
    verifier = OfflineVerifier(KeyFile(file, lambda: seconds[0]), Followed())
    assert verifier.verify(token(), ACCESS, require_certificate=False).client_id == "billing"
    file.write_bytes(write_key_file(audience_keys("https://other.example", API, [ROOT])))
    seconds[0] = 5.0
    with pytest.raises(Unavailable, match="restart with revocations of the other"):
        verifier.verify(token(), ACCESS, require_certificate=False)


def test_stale_revocations_are_503_by_default():
    """While the revocations cannot be told, nothing passes and nothing is called revoked."""
    assert call(make_app(revocations=Followed(STALE)), bound()).status_code == 503


def test_the_fallback_judges_while_the_revocations_are_stale():
    """Meanwhile `when_stale` judges, with everything that the guard demands."""
    app = make_app(revocations=Followed(STALE), when_stale=OfflineVerifier(KEYS, Followed()))
    assert call(app, bound()).status_code == 200
    assert call(app, bound(), certificate=b"the thief's certificate").status_code == 401


def test_the_fallback_may_not_know_either():
    """The request is 503 when `when_stale` cannot tell either."""
    app = make_app(revocations=Followed(STALE), when_stale=OfflineVerifier(KEYS, Followed(STALE)))
    assert call(app, bound()).status_code == 503


@pytest.mark.parametrize("answer", [None, "token AAEC was revoked"], ids=["valid", "revoked"])
def test_the_fallback_is_not_asked_while_the_revocations_are_current(answer: str | None):
    """A verdict by current revocations stands: no other verifier softens or hardens it."""
    other = OfflineVerifier(KEYS, Followed("revoked, says the fallback" if answer is None else None))
    app = make_app(revocations=Followed(answer), when_stale=other)
    assert call(app, bound()).status_code == (200 if answer is None else 401)


def test_the_fallback_is_not_asked_for_a_judge_that_cannot_tell():
    """A judge whose database is away is 503 at once: it is asked once, and no other verifier is."""
    asked: list[object] = []

    def away(value: object, _access: object) -> None:
        asked.append(value)
        raise Unavailable("the database is away")

    other = OfflineVerifier(KEYS, Followed())
    app = make_app(revocations=Followed(), when_stale=other, caveats={"payment": away})
    assert call(app, bound(CustomCaveat("payment", 7))).status_code == 503
    assert asked == [7]


FOREIGN = {
    "another audience": OfflineVerifier(audience_keys(ISSUER, OTHER_API, [ROOT])),
    "another issuer": OfflineVerifier(audience_keys("https://other-as.example", API, [ROOT])),
}


@pytest.mark.parametrize("other", FOREIGN.values(), ids=FOREIGN)
def test_a_fallback_for_other_tokens_is_refused(other: OfflineVerifier):
    """A fallback of another issuer or audience would let other tokens pass: SettingsError."""
    with pytest.raises(SettingsError, match="name the same for both"):
        OfflineVerifier(KEYS, Followed(), when_stale=other)


def test_a_fallback_without_revocations_is_refused():
    """A fallback that could never be asked is a mistake of the deployer."""
    with pytest.raises(SettingsError, match="without revocations"):
        OfflineVerifier(KEYS, when_stale=OfflineVerifier(KEYS))


def test_a_fallback_beside_a_verifier_is_refused():
    """`when_stale` goes with keys, as `revocations` does."""
    asking = Introspection(ISSUER, API, "a", "b")
    with pytest.raises(SettingsError, match="when_stale goes with keys"):
        make_admission({"verifier": asking, "when_stale": asking})


class Silent(OfflineVerifier):
    """A verifier that may block without a word."""

    def __init__(self) -> None:
        super().__init__(KEYS)
        self.announces_blocking = False


@pytest.mark.parametrize(
    ("other", "announces"), [(OfflineVerifier(KEYS), True), (Silent(), False)], ids=["announces", "silent"]
)
def test_a_fallback_that_may_block_is_run_in_a_thread(other: OfflineVerifier, *, announces: bool):
    """The promise to announce blocking holds for the whole verifier, its fallback included."""
    assert announces_blocking(OfflineVerifier(KEYS, Followed(), when_stale=other)) is announces


def test_a_refusal_names_the_token_that_it_has_verified():
    """`grant` of an error names the token whose signature was verified."""
    with pytest.raises(Revoked) as refused:
        OfflineVerifier(KEYS, Followed("revoked")).verify(bound(), ACCESS, require_certificate=True)
    assert refused.value.grant is not None
    assert refused.value.grant.client_id == "billing"


@pytest.mark.parametrize("adapter", ["wsgi", "asgi", "flask"])
def test_an_offline_guard_loads_no_feed(adapter: str):
    """A guard with keys imports neither a feed nor what follows or asks the service."""
    code = (
        f"import sys, macaroon_cbat.resource.{adapter}\n"
        "loaded = [m for m in sys.modules if '.feeds.' in m or m in ('requests', 'httpx', 'urllib3')"
        " or m.startswith('macaroon_cbat.client') or m == 'macaroon_cbat.resource.introspection']\n"
        "print(loaded)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


@pytest.mark.parametrize("adapter", ["wsgi", "asgi", "starlette", "fastapi", "django"])
def test_other_adapters_need_no_flask(adapter: str):
    """Flask is loaded by Flask's adapter alone."""
    code = f"import sys, macaroon_cbat.resource.{adapter}\nprint('flask' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
