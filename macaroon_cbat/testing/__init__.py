"""Fake holders and fake keys for the tests of guarded applications.

keys = fake_keys()
app = create_app(keys=keys)                                      # Guard(app, keys=keys)
holder = FakeHolder(keys)
app.test_client().get("/invoices", **holder.flask("read"))       # 200

The keys are random and live in memory. A guard that has the keys of a real service accepts nothing that is
made here. The pytest plugin (`plugin`) has fixtures for the same.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from macaroon_cbat.testing.holder import FakeHolder as FakeHolder
    from macaroon_cbat.testing.holder import RequestOptions as RequestOptions
    from macaroon_cbat.testing.holder import TokenOptions as TokenOptions
    from macaroon_cbat.testing.keys import fake_keys as fake_keys

_HOMES = {
    "FakeHolder": "holder",
    "RequestOptions": "holder",
    "TokenOptions": "holder",
    "fake_keys": "keys",
}
"""Imported at their first use: every run of pytest imports this package for its plugin, used or not."""


def __getattr__(name: str) -> Any:
    """Return a public name of this package (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the names that `dir` shows, those of `_HOMES` included."""
    return sorted({*globals(), *_HOMES})
