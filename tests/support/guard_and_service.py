"""A guard and a service that decide as ever, whatever happens to what they count.

For a process of its own: what it does to `prometheus_client` comes before the import of this module.
"""

import logging
import sys
from pathlib import Path

from tests.support.databases import url_in
from tests.support.guarded_app import bound, call, make_app
from tests.support.service import Service, make_database, settings_in
from tests.support.tokens import token


def decide(folder: Path) -> None:
    """Let a guard and a service in this folder count each kind of event; fail if a decision is wrong."""
    app = make_app()
    assert [call(app, text).status_code for text in (bound(), token(), None, bound())] == [200, 401, 401, 200]
    make_database(url_in(folder))
    service = Service(folder, settings_in(folder))
    minted = service.token()
    assert service.introspect(minted)["active"] is True
    assert service.revoke(minted).status_code == 200
    assert service.ask_token(scope="root").status_code == 400
    service.close()


if __name__ == "__main__":
    logging.basicConfig()
    decide(Path(sys.argv[1]))
