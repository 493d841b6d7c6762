"""The duties of a serving process: when they are due, and that none of them ends it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from macaroon_cbat.tls.renewal import Duties, Following, Hangups
from macaroon_cbat.tls.server_certificate import ServerCertificate
from tests.support.renewals import in_folder, new_pair


class Process:
    """A process whose clock the test moves and whose duties are written down."""

    def __init__(self, folder: Path, renew: Callable[[], object] = lambda: None) -> None:
        self.now = 0.0
        self.done: list[str] = []
        self.hangups = Hangups()
        pair = ServerCertificate(*in_folder(folder, new_pair()))
        duties = Duties(
            on_hangup=lambda: self.done.append("hangup"),
            renew=lambda: (self.done.append("renew"), renew()),
            on_certificate=lambda _: self.done.append("certificate"),
        )
        self.following = Following(pair, self.hangups, duties, lambda: self.now)
        self.done.clear()

    def at(self, second: float) -> list[str]:
        """Return what is done at this second."""
        self.now = second
        self.done.clear()
        self.following.tick()
        return list(self.done)


def test_the_certificate_is_renewed_each_hour(tmp_path: Path) -> None:
    """An operator's renewal is asked for once an hour, and not in between."""
    process = Process(tmp_path)
    assert process.at(3599) == []
    assert process.at(3600) == ["renew"]
    assert process.at(7199) == []
    assert process.at(7200) == ["renew"]


def test_many_hangups_are_one_demand(tmp_path: Path) -> None:
    """SIGHUPs that come before the next tick are met once: by hook, renewal and a certificate read anew."""
    process = Process(tmp_path)
    for _ in range(1000):
        process.hangups.hear()
    assert process.at(0.1) == ["hangup", "renew", "certificate"]
    assert process.at(0.2) == []


def test_a_duty_that_fails_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A defect in what the operator's code does is logged, and the certificate is followed on."""

    def fail() -> None:
        raise RuntimeError("no such thing")

    process = Process(tmp_path, fail)
    process.hangups.hear()
    assert process.at(0.1) == ["hangup", "renew", "certificate"]
    assert "cannot follow the server's files" in caplog.text
