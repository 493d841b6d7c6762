"""The state that every test begins with."""

import gc
import logging
import os
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from macaroon_cbat.audit import log as audit_log
from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.audit.loggers import forget_floods

pytest_plugins = ["tests.support.earlier_followers", "tests.support.shared_postgresql"]

os.umask(0o077)
"""The tests write keys as a careful operator does; loose modes are set where they are the matter."""

_NOISY = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
"""A machine that does other things as well is slow now and then: that is no finding."""

settings.register_profile("steady", derandomize=True, max_examples=100, **_NOISY)
settings.register_profile("exploring", derandomize=False, max_examples=1000, print_blob=True, **_NOISY)
settings.load_profile("steady")
"""The same examples in each run; scripts/fuzz explores others, by `--hypothesis-profile=exploring`."""


@pytest.fixture(autouse=True)
def _no_flood_before() -> None:
    """Begin each test as a process begins: what other tests have refused leaves out no line of this one.

    Commands that ran in this process have set up its log and its audit log. A flood of the test before has
    begun a timer, which would tell of a flood of this one too early: it ends with the line that it waits for.
    """
    write_log_to(None)
    audit_log.flush_refusals()
    audit_log.forget_refusals()
    forget_floods()
    logging.getLogger("macaroon_cbat").setLevel(logging.NOTSET)


_FOLDERS = count()


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of the test. That of pytest takes ten times as long: it lists those of all tests."""
    name = re.sub(r"\W", "_", request.node.name)[:30]
    folder = tmp_path_factory.getbasetemp() / f"{name}-{next(_FOLDERS)}"
    folder.mkdir(0o700)
    return folder


LONGEST_FIRST = (
    "scripts",
    "walks",
    "wheels",
    "guide",
    "proxies",
    "tls",
    "cli",
    "certificate/servers",
    "relying",
    "testing",
    "gateway",
    "stores",
    "resource",
)
"""The folders whose tests wait longest: begun last, one would keep a process busy while the others idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the folders with the longest tests first."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        place = item.path.relative_to(here).as_posix()
        return next((n for n, name in enumerate(LONGEST_FIRST) if place.startswith(name)), len(LONGEST_FIRST))

    items.sort(key=rank)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect no garbage while the tests are collected: what is made then stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Have the garbage collector leave out the collected tests, which stay to the end."""
    gc.collect()
    gc.freeze()
