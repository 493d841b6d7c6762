"""Holders: each mints, binds, calls, renews its certificate, and tries what must fail."""

import random
import time
from pathlib import Path
from threading import Event

import requests

from macaroon_cbat.client import ClientCertificate, bind_to_certificate
from macaroon_cbat.client import requests as for_requests
from macaroon_cbat.errors import MacaroonError
from scripts.soaking.bed import Bed
from scripts.soaking.ledger import Ledger
from tests.support.followed_service import jti_of
from tests.support.tls_servers import make_client

CALLS_OF_A_TOKEN = 5
RENEWAL_SECONDS = 120.0
_AWAY = (requests.RequestException, MacaroonError, OSError)


class Holder:
    """One holder, with a certificate of its own and a token that it replaces after a few calls."""

    def __init__(self, number: int, bed: Bed, ledger: Ledger, folder: Path) -> None:
        """Make the certificate."""
        self._bed, self._ledger = bed, ledger
        self._folder, self._name = folder, f"holder-{number}"
        self._random = random.Random(number)  # noqa: S311 # the same walk each time
        self._renew()
        self._token, self._calls_left = "", 0

    def work(self, stop: Event, pause: float) -> None:
        """Call until it is told to stop."""
        while not stop.wait(pause * self._random.uniform(0.5, 1.5)):
            if time.monotonic() > self._renewal_at:
                self._renew()
            try:
                self._turn()
            except _AWAY as error:
                self._ledger.count(f"a holder was answered nothing: {type(error).__name__}")

    def _renew(self) -> None:
        """Replace key and certificate, whose file the holder's client follows."""
        self._certificate = ClientCertificate(make_client(self._folder, self._name).file)
        self._renewal_at = time.monotonic() + RENEWAL_SECONDS * self._random.uniform(0.8, 1.2)
        self._ledger.count("certificates renewed")

    def _turn(self) -> None:
        if self._calls_left == 0:
            self._token = self._bed.twins.token()
            self._ledger.count("tokens minted")
            self._calls_left = CALLS_OF_A_TOKEN
        self._calls_left -= 1
        status = self._call(self._token)
        self._ledger.count(f"an own token: {status}")
        draw = self._random.random()
        if draw < 0.2:
            self._ledger.judge("a child of another certificate", self._stolen(), since=None)
        elif draw < 0.5 and (revoked := self._ledger.a_revoked(self._random.random())):
            self._ledger.judge("a revoked token", self._call(revoked[0]), since=revoked[1])
        elif draw > 0.7 and self._calls_left == 0:
            self._take_back()

    def _call(self, token: str) -> int:
        """Call with a child of this token for the certificate of the connection."""
        auth = for_requests.MacaroonAuth(token, self._certificate)
        with for_requests.certificate_session(auth, self._bed.api.folder / "ca.pem") as session:
            return session.get(self._url, timeout=60).status_code

    def _stolen(self) -> int:
        """Call with a child that is bound to this certificate over a connection with another one."""
        own = (self._folder / f"{self._name}.pem").read_bytes()
        child = bind_to_certificate(self._token, own)
        thief = make_client(self._folder, f"{self._name}-thief").file
        return requests.get(
            self._url,
            headers={"Authorization": f"Bearer {child}"},
            cert=str(thief),
            verify=str(self._bed.api.folder / "ca.pem"),
            timeout=60,
        ).status_code

    def _take_back(self) -> None:
        """Revoke the own token; only an acknowledged revocation counts."""
        twins, token = self._bed.twins, self._token
        form = {"token": token, "client_id": "billing", "client_secret": twins.billing}
        answer = requests.post(
            f"{twins.service.issuer}/oauth2/revoke", data=form, verify=str(twins.service.ca), timeout=60
        )
        self._ledger.count(f"revocations: {answer.status_code}")
        if answer.status_code == 200:
            self._ledger.take_back(jti_of(token), token)
        self._calls_left = 0

    @property
    def _url(self) -> str:
        return f"https://localhost:{self._bed.api.port}/invoices"
