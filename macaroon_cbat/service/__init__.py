"""The authorization server, which mints, introspects and revokes macaroons over HTTP (Flask, Authlib).

`create_app()` is a WSGI application for any server: `gunicorn 'macaroon_cbat.service:create_app()'`.
"""

from typing import TYPE_CHECKING

from macaroon_cbat.errors.extras import require
from macaroon_cbat.errors.first_use import at_first_use

if TYPE_CHECKING:
    from macaroon_cbat.service.app import create_app as create_app
    from macaroon_cbat.service.settings import Settings as Settings
    from macaroon_cbat.service.settings import settings_from_environment as settings_from_environment

require("service", "flask", "authlib", "sqlalchemy", "alembic", "jinja2")

# A module of this package can be imported by itself, without all others.
__getattr__, __dir__, __all__ = at_first_use(
    __name__, {"app": "create_app", "settings": "Settings settings_from_environment"}
)
