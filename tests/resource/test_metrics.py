"""The counters of a resource server, and the guard where nothing can be counted."""

import subprocess
import sys
from pathlib import Path

import pytest

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.macaroon.caveats import Expiry, confirmation
from tests.support.counters import counts, difference
from tests.support.forged_tokens import forged
from tests.support.guarded_app import bound, call, make_app
from tests.support.tokens import API, ISSUER, NOW, OTHER_CERTIFICATE, token


class Absent:
    """A verifier that cannot tell."""

    issuer, audience = ISSUER, API

    def verify(self, text, access, *, require_certificate, **_):
        """Raise Unavailable."""
        raise Unavailable("out of reach")


def test_each_admission_counts_once():
    """An admitted request counts by whether its token is bound and whether a holder attenuated it."""
    app, before = make_app(require_certificate=False), counts()
    for text in (token(), token(Expiry(NOW + 60)), bound(), bound(Expiry(NOW + 60)), bound(Expiry(NOW + 60))):
        assert call(app, text).status_code == 200
    assert difference(before) == {
        ("verified_total", "no", "no"): 1,
        ("verified_total", "no", "yes"): 1,
        ("verified_total", "yes", "no"): 1,
        ("verified_total", "yes", "yes"): 2,
    }


def test_each_refusal_counts_once():
    """A refused request counts by the name of its reason, one that cannot be judged by itself."""
    app, before = make_app(), counts()
    stolen = token(confirmation(OTHER_CERTIFICATE))
    for text in (None, "rubbish", "rubbish", stolen, token(), forged(bound())):
        assert call(app, text).status_code == 401
    assert call(app, bound(), path="/root").status_code == 403
    assert call(make_app(verifier=Absent()), bound()).status_code == 503
    found = difference(before)
    assert found.pop(("unavailable_total", "Unavailable")) == 1
    assert found == {
        ("refused_total", "MissingToken"): 1,
        ("refused_total", "MalformedMacaroon"): 2,
        ("refused_total", "CaveatsNotMet"): 1,
        ("refused_total", "NotCertificateBound"): 1,
        ("refused_total", "SignatureMismatch"): 1,
        ("refused_total", "InsufficientScope"): 1,
    }


WITHOUT = """
import sys
sys.modules["prometheus_client"] = None
from pathlib import Path
from tests.support.guard_and_service import decide
decide(Path(sys.argv[1]))
"""


def test_nothing_is_counted_without_prometheus_client(tmp_path):
    """Without prometheus_client guard and service do what they do, and count nothing."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT, str(tmp_path)],
        cwd=root,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("module", ["macaroon_cbat.resource", "macaroon_cbat.service"])
def test_importing_does_not_import_it(module):
    """prometheus_client is imported when something is counted: `serve` must come first."""
    code = f"import sys, {module}; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_first_requests_may_come_at_once():
    """The first requests of a process are each counted when they are judged at the same moment."""
    script = """
import sys, threading
from prometheus_client import REGISTRY
from macaroon_cbat.errors import MissingToken
from macaroon_cbat.resource import metrics

sys.setswitchinterval(1e-6)
start = threading.Barrier(16)

def refuse():
    start.wait()
    metrics.count_refused(MissingToken("no token"))

threads = [threading.Thread(target=refuse) for _ in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(REGISTRY.get_sample_value("macaroon_cbat_refused_total", {"reason": "MissingToken"}))
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("16.0\n", "")
