"""The state that every test begins with."""

import logging
import os

import pytest
from hypothesis import settings

from macaroon_cbat.audit import log as audit_log
from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.audit.loggers import forget_floods

os.umask(0o077)
"""The tests write keys as a careful operator does; loose modes are set where they are the matter."""

settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")
"""The same examples in each run; scripts/fuzz explores others."""


@pytest.fixture(autouse=True)
def _no_flood_before() -> None:
    """Begin each test as a process begins: what other tests have refused leaves out no line of this one.

    Commands that ran in this process have set up its log and its audit log.
    """
    audit_log._forget()
    forget_floods()
    logging.getLogger("macaroon_cbat").setLevel(logging.NOTSET)
    write_log_to(None)
