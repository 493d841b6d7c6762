"""Holders that mint and take back over mutual TLS, all at once, while the service is killed under them."""

import http.client
import json
import ssl
import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

from tests.support.followed_service import Realm, jti_of

HOLDERS = 50
_PAUSE = 0.05


@dataclass
class Told:
    """The answers to the holders, by token id; `asked` are those whose revocation was sent at all."""

    minted: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    tokens: dict[str, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    broken: list[BaseException] = field(default_factory=list)


class _Holder:
    """One holder with a connection of its own, opened anew when it breaks."""

    def __init__(self, realm: Realm, context: ssl.SSLContext) -> None:
        credentials = b64encode(f"billing:{realm.billing}".encode()).decode()
        self._headers = {
            "Authorization": f"Basic {credentials}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self._connection = http.client.HTTPSConnection(
            "localhost", realm.service.port, context=context, timeout=60
        )

    def post(self, path: str, **form: str) -> tuple[int, bytes]:
        """Return status and body; OSError or HTTPException when no whole answer comes."""
        try:
            self._connection.request("POST", path, urlencode(form), self._headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()


def _work(holder: _Holder, told: Told, stopped: threading.Event, *, takes_back: bool) -> None:
    while not stopped.is_set():
        try:
            status, body = holder.post("/oauth2/token", grant_type="client_credentials")
            told.statuses[status] += 1
            if status != 200:
                stopped.wait(_PAUSE)
                continue
            token = json.loads(body)["access_token"]
            name = jti_of(token)
            told.tokens[name] = token
            told.minted.add(name)
            if takes_back:
                told.asked.add(name)
                status, _ = holder.post("/oauth2/revoke", token=token)
                told.statuses[status] += 1
                if status == 200:
                    told.revoked.add(name)
        except (OSError, http.client.HTTPException):
            told.lost += 1  # no answer: it is unknown whether it was done
            stopped.wait(_PAUSE)


@contextmanager
def load(realm: Realm) -> Iterator[Told]:
    """Let the holders work until the block ends; every other one takes back what it gets."""
    told, stopped = Told(), threading.Event()
    context = ssl.create_default_context(cafile=realm.service.ca)
    context.load_cert_chain(realm.certificate)

    def work(number: int) -> None:
        holder = _Holder(realm, context)
        try:
            _work(holder, told, stopped, takes_back=number % 2 == 0)
        except BaseException as error:  # noqa: BLE001 # the test shows it
            told.broken.append(error)
        finally:
            holder.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(HOLDERS)]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
