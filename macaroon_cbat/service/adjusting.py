"""The parts of a running application that other settings change."""

from collections.abc import Callable
from dataclasses import replace

from flask import Flask

from macaroon_cbat.audit import bound_refusals
from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.service.oauth2.authorization_server import AuthorizationServer
from macaroon_cbat.service.settings import Settings

ADJUST = "macaroon_cbat.adjust"
"""The name of the extension: a function that puts settings in force."""


def make_adjustable(app: Flask, server: AuthorizationServer, settings: Settings) -> None:
    """Let the application's extension put other settings in force, of those that `reloading` names."""
    audit_log = settings.audit_log

    def adjust(new: Settings) -> None:
        nonlocal audit_log
        if new.audit_log != audit_log:
            write_log_to(new.audit_log)
            audit_log = new.audit_log
        bound_refusals(new.audit_refusals)
        # One assignment each: a request under way sees the old value or the new one.
        server.issuer.adjust(new.token_lifetime, new.key_rotation)
        server.families = replace(server.families, settings=new.refresh)
        server.throttle.adjust(new.throttle)
        bound_bodies(app, new)

    app.extensions[ADJUST] = adjust


def bound_bodies(app: Flask, settings: Settings) -> None:
    """Let the application read bodies of this size at most."""
    app.config["MAX_CONTENT_LENGTH"] = settings.limits.body_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.limits.body_bytes


def adjust(app: Flask) -> Callable[[Settings], None]:
    """Return the function that puts settings in force. It raises SettingsError for an unusable audit log."""
    found: Callable[[Settings], None] = app.extensions[ADJUST]
    return found
