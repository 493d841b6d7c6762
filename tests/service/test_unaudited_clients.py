"""A client that cannot be audited is not there, or the message says that it is."""

from typing import Any

import pytest

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.service.admin.administration import Administration
from tests.support.another_user import no_room
from tests.support.databases import METADATA, NOW, opened, url_in

MEMBERS: dict[str, object] = {"client_id": "billing", "scope": METADATA.scope}


def refuse(kind: str, /, **members: Any) -> None:
    raise Unavailable("the audit log cannot be written: No space left on device")


def test_it_is_removed_again(tmp_path):
    """A client that cannot be audited is removed again, and the message says that nothing was done."""
    stores = opened(url_in(tmp_path))
    with pytest.raises(Unavailable, match="not done, because it cannot be audited"):
        Administration(stores, "https://as.example", lambda: float(NOW), refuse).add_client(MEMBERS)
    assert stores.clients.all() == []
    stores.database.close()


def test_it_is_said_to_be_there(tmp_path):
    """On a full disk it can be neither audited nor removed: the message says so, and what to do."""
    stores = opened(url_in(tmp_path))
    full = no_room()

    def fill(kind: str, /, **members: Any) -> None:
        full.__enter__()
        refuse(kind)

    try:
        with pytest.raises(Unavailable, match=r"client billing is added, but neither audited nor .*: remove"):
            Administration(stores, "https://as.example", lambda: float(NOW), fill).add_client(MEMBERS)
    finally:
        full.__exit__(None, None, None)
    assert [client.client_id for client in stores.clients.all()] == ["billing"]
    stores.database.close()
