"""The settings of the guard of a Django project, MACAROON_CBAT: the names of GuardSettings in capitals."""

from typing import Any, cast

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import extra
from macaroon_cbat.resource.settings import GuardSettings

with extra("django"):
    from django.conf import settings as project
    from django.utils.module_loading import import_string


def project_settings() -> GuardSettings:
    """Return the project's settings under the names that every guard has.

    A judge of custom caveats may be the dotted path of a function, as is usual in a project's settings: the
    module of the settings cannot import models. Raises SettingsError for a name that is not in capitals, and
    for a path that leads to nothing.
    """
    found: dict[str, Any] = getattr(project, "MACAROON_CBAT", None) or {}
    if wrong := [name for name in found if not name.isupper()]:
        raise SettingsError(f"names in MACAROON_CBAT are in capitals, unlike {', '.join(wrong)}")
    if "CAVEATS" in found:
        found = {**found, "CAVEATS": {name: _judge(judge) for name, judge in found["CAVEATS"].items()}}
    return cast("GuardSettings", {name.lower(): value for name, value in found.items()})


def before_the_guard(whole: str) -> str:
    """Return a remark that names the middleware that Django runs before the guard, whose path is `whole`."""
    names = list(getattr(project, "MIDDLEWARE", None) or ())
    first = names[: names.index(whole)] if whole in names else []
    return f"; before the guard stand {', '.join(name.rpartition('.')[2] for name in first)}" if first else ""


def _judge(judge: Any) -> Any:
    if not isinstance(judge, str):
        return judge
    try:
        return import_string(judge)
    except ImportError as error:
        raise SettingsError(f"the judge {judge!r} in MACAROON_CBAT cannot be imported: {error}") from error
