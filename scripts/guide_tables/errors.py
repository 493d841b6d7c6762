"""The table of errors: status, OAuth code, and what the caller is told."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from guide_tables.markdown import code, table
from guide_tables.words import first_paragraph
from macaroon_cbat import errors as package
from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.errors.texts import Answered


def errors() -> str:
    """Return every error that this package raises on purpose, in the order of its tree."""
    for module in iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
    head = ("error", "a kind of", "status", "code", "what the caller is told", "meaning")
    return table(head, (_row(error) for error in _defined()))


def _defined(error: type[MacaroonError] = MacaroonError) -> Iterator[type[MacaroonError]]:
    """Yield the error and every kind of it, each kind behind the more general one."""
    if error is not Answered:
        yield error
    for kind in error.__subclasses__():
        if kind.__module__.startswith(MacaroonError.__module__.rpartition(".")[0]):
            yield from _defined(kind)


def _row(error: type[MacaroonError]) -> tuple[str, ...]:
    answers = issubclass(error, Answered)
    told = getattr(error, "fixed_description", None) or ("the reason" if answers else "")
    status, word = getattr(error, "status", None), getattr(error, "code", None)
    numbers = (str(status) if isinstance(status, int) else "", code(word) if isinstance(word, str) else "")
    parent = MacaroonError if error.__bases__[0] is Answered else error.__bases__[0]
    return code(error.__name__), code(parent.__name__), *numbers, told, first_paragraph(error.__doc__)
