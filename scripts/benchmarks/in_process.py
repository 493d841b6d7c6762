"""The cost of the three requests that come most often, in this process: the application and SQLite, no TLS.

They are a token for a client that is bound to its certificate, the introspection of one, and a refresh with
its commit on disk. The test client's own cost is in each.
"""

import atexit
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from timing import Case

from macaroon_cbat.audit import flush_refusals
from macaroon_cbat.audit.file import write_log_to
from tests.support.certificates import certified
from tests.support.databases import NOW
from tests.support.refresh import begun, refreshed, register
from tests.support.service import SECRETS, Service, client_metadata, make_database, settings_in

BOUND = "bound"
CALLS = [()] * 50


def cases() -> list[Case]:
    """Return a case for each request, with one client certificate on every connection."""
    service = _service()
    certificate = certified("CN=load")
    metadata = client_metadata(scope="read", tls_client_certificate_bound_access_tokens=True)
    service.stores.clients.add(BOUND, metadata, secret=SECRETS["billing"], now=NOW)
    client = {"client_id": BOUND, "client_secret": SECRETS["billing"]}
    mint = partial(service.token, None, certificate, **client)
    register(service)
    return [
        Case("client_credentials", mint, CALLS),
        Case("introspection", partial(service.introspect, mint(), "comparing-api"), CALLS),
        Case("refresh", _Refresh(service).once, CALLS),
    ]


class _Refresh:
    """A family of refresh tokens, each of which is used once."""

    def __init__(self, service: Service) -> None:
        self._service, self._token = service, begun(service)

    def once(self) -> None:
        """Use the current refresh token."""
        self._token = refreshed(self._service, self._token)["refresh_token"]


def _service() -> Service:
    """Return a service whose database and audit log lie in a folder that ends with this process."""
    stack = ExitStack()
    atexit.register(stack.close)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    settings = settings_in(folder, audit_log=str(folder / "audit.log"))
    make_database(settings.database_url)
    service = Service(folder, settings)
    for end in (service.close, partial(write_log_to, None), flush_refusals):
        stack.callback(end)
    return service
