"""The authorization server, which mints, introspects and revokes macaroons over HTTP (Flask, Authlib).

`create_app()` is a WSGI application for any server: `gunicorn 'macaroon_cbat.service:create_app()'`.
"""

from macaroon_cbat.errors.extras import extra

with extra("service"):
    from macaroon_cbat.service.app import create_app as create_app
    from macaroon_cbat.service.settings import Settings as Settings
    from macaroon_cbat.service.settings import settings_from_environment as settings_from_environment
