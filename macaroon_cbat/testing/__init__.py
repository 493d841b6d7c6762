"""Fake holders and fake keys for the tests of guarded applications.

keys = fake_keys()
app = create_app(keys=keys)                                      # Guard(app, keys=keys)
holder = FakeHolder(keys)
app.test_client().get("/invoices", **holder.flask("read"))       # 200

The keys are random and live in memory. A guard that has the keys of a real service accepts nothing that is
made here. The pytest plugin (`plugin`) has fixtures for the same.
"""

from typing import TYPE_CHECKING

from macaroon_cbat.errors.first_use import at_first_use

if TYPE_CHECKING:
    from macaroon_cbat.testing.holder import FakeHolder as FakeHolder
    from macaroon_cbat.testing.holder import RequestOptions as RequestOptions
    from macaroon_cbat.testing.holder import TokenOptions as TokenOptions
    from macaroon_cbat.testing.keys import fake_keys as fake_keys

# Every run of pytest imports this package for its plugin, used or not.
__getattr__, __dir__, __all__ = at_first_use(
    __name__, {"holder": "FakeHolder RequestOptions TokenOptions", "keys": "fake_keys"}
)
