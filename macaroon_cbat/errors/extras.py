"""Extras: libraries that a part of this package needs and a plain installation lacks."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from macaroon_cbat.errors import SettingsError

_PACKAGE = "macaroon_cbat"


class MissingExtra(SettingsError, ImportError):
    """An extra is not installed.

    The message names the extra. `remedy` is the command that installs it, `name` the missing module.
    """

    def __init__(self, extra: str, module: str) -> None:
        self.remedy = f"pip install '{_PACKAGE}[{extra}]'"
        reason = f"the extra {extra!r} is not installed (no module {module!r})"
        super().__init__(f"{reason}: {self.remedy}", name=module)


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import libraries of this extra in the block.

    Raises MissingExtra for the first library that is not installed. The outermost of nested blocks names the
    extra, for that is the part that the caller imports. Other import errors pass unchanged.
    """
    try:
        yield
    except (ModuleNotFoundError, MissingExtra) as error:
        module = (error.name or "").partition(".")[0]
        if module in ("", _PACKAGE):
            raise
        raise MissingExtra(name, module) from error


def require(name: str, *modules: str) -> None:
    """Raise MissingExtra for the first of these modules that is not installed; none is imported."""
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtra(name, module)
