"""Options of `serve` that limit what one client uses; they override the settings of the same names."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import click

from macaroon_cbat.service import Settings
from macaroon_cbat.service.limits import ServiceLimits
from macaroon_cbat.service.variables import PREFIX, Variable, variables_of


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each limit."""
    for variable in reversed(variables_of(ServiceLimits)):
        option = "--" + variable.field.replace("_", "-")
        bounds = click.IntRange(variable.setting.least, variable.setting.most)
        command = click.option(option, type=bounds, metavar="N", help=_told(variable))(command)
    return command


def _told(variable: Variable) -> str:
    meaning = variable.setting.meaning
    told = f"{meaning[0].upper()}{meaning[1:]}."
    return f"{told} [default: {variable.default}; env: {PREFIX}{variable.name}]"


def without_limits(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, int | None]]:
    """Return the other options of the command, and its limits."""
    names = {variable.field for variable in variables_of(ServiceLimits)}
    others = {name: value for name, value in options.items() if name not in names}
    return others, {name: options[name] for name in names}


def with_limits(settings: Settings, given: Mapping[str, int | None]) -> Settings:
    """Return the settings with the limits that options name."""
    named = {name: value for name, value in given.items() if value is not None}
    return replace(settings, limits=replace(settings.limits, **named))
