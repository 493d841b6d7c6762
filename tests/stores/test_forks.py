"""Stores that were opened, and used, before a fork: create_app() in a server that preloads it."""

import threading
from pathlib import Path

import pytest

from macaroon_cbat.stores import RootKeyStore
from tests.support.databases import NOW, ON_SQLITE, WRAPPING_KEY
from tests.support.failing_database import add_client, revoke
from tests.support.forks import in_children

CHILDREN, TURNS = 4, 15


def test_children_use_the_database_at_once(stores):
    """Children of a process that has used the database read and write it, and so does the process itself."""
    revoke(stores, "of the parent")

    def work(number: int) -> bool:
        for turn in range(TURNS):
            name = f"{number}-{turn}"
            assert revoke(stores, name) == name
            assert add_client(stores, f"client-{name}")
            assert stores.clients.find(f"client-{name}") is not None
        return True

    assert in_children(CHILDREN, work) == [0] * CHILDREN
    page = stores.revocations.after(0)
    assert len(page.decisions) == CHILDREN * TURNS + 1
    assert revoke(stores, "of the parent, later")


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_fork_amid_transactions_hangs_no_child(stores):
    """Children forked while threads of their parent read and write go on (SQLite in C locks up)."""
    is_over = threading.Event()

    def go_on(number: int) -> None:
        turn = 0
        while not is_over.is_set():
            revoke(stores, f"{number} {turn}")
            stores.clients.all()
            turn += 1

    threads = [threading.Thread(target=go_on, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        statuses = [in_children(2, lambda number: stores.clients.all() == []) for _ in range(5)]
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert statuses == [[0, 0]] * 5


@ON_SQLITE
def test_a_child_waits_for_no_turn_of_its_parent(stores):
    """A turn to write that a thread of the parent has is not waited for in a child."""
    with stores.database.turns.turn(5):
        assert in_children(1, lambda _: revoke(stores, "of the child")) == [0]


def test_a_child_waits_for_no_look_of_its_parent(stores):
    """A child forked while its parent looks at the root keys looks at them by itself."""
    statuses = []

    def forking_clock() -> float:
        if not statuses:
            statuses.append(None)  # the children's clock does not fork
            statuses[:] = in_children(1, lambda _: looking.current())
        return 0.0

    looking = RootKeyStore(stores.database, WRAPPING_KEY, forking_clock)
    assert looking.current() == stores.root_keys.current()
    assert statuses == [0]


@ON_SQLITE
def test_no_open_file_is_inherited(stores, tmp_path: Path):
    """A child has no descriptor of the parent's database: SQLite's locks would end with it."""
    stores.root_keys.records()
    assert in_children(1, lambda _: not opened_in(tmp_path)) == [0]
    assert stores.root_keys.keep(NOW, 0, 86_400) == []


def opened_in(folder: Path) -> list[str]:
    """Return the files in a folder that this process has open."""
    files = [str(one.readlink()) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    return [file for file in files if file.startswith(str(folder))]
