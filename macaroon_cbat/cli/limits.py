"""Options of `serve` that limit what one client uses; they override the settings of the same names."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import click

from macaroon_cbat.service import Settings
from macaroon_cbat.service.limits import RANGES

_HELP = {
    "HANDSHAKE_SECONDS": "Time of a client for the TLS handshake. [default: 5; ",
    "REQUEST_SECONDS": "Time of a client to send a request, body included, and to read on. [default: 10; ",
    "IDLE_SECONDS": "Time of a connection without a request; more than a proxy's own. [default: 15; ",
    "BODY_BYTES": "Largest body of a request. [default: 65536; ",
}


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each limit."""
    for name, text in reversed(_HELP.items()):
        option = "--" + name.lower().replace("_", "-")
        told = f"{text}env: MACAROON_CBAT_{name}]"
        command = click.option(option, type=click.IntRange(*RANGES[name]), metavar="N", help=told)(command)
    return command


def with_limits(settings: Settings, given: Mapping[str, int | None]) -> Settings:
    """Return the settings with the limits that options name."""
    named = {name: value for name, value in given.items() if value is not None}
    return replace(settings, limits=replace(settings.limits, **named))
