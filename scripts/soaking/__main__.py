"""The soak: `python -m scripts.soaking [SECONDS]`; `scripts/soak` installs what it needs first."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from scripts.soaking.bed import STALENESS, Bed, bed, in_background
from scripts.soaking.holders import Holder
from scripts.soaking.ledger import Ledger
from scripts.soaking.samples import HEADINGS, Samples

ROTATIONS, KILLS, FAILOVERS, CHECKS, SAMPLES = 12, 60, 2, 60, 360
"""Times that each is done: in an hour, a kill and a check every minute."""


def main() -> int:
    """Run for so many seconds; return 0 if nothing went wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("seconds", type=int, nargs="?", default=3600)
    parser.add_argument("--holders", type=int, default=50)
    parser.add_argument("--followers", type=int, default=200)
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between two turns of a holder")
    parser.add_argument("--part", type=float, default=1.0, help="part of all kills and checks to do")
    options = parser.parse_args()
    os.umask(0o077)  # the keys that it writes must be private, or the servers refuse them
    ledger = Ledger(STALENESS)
    with tempfile.TemporaryDirectory(prefix="macaroon-cbat-soak-") as name, bed(Path(name)) as one:
        print(f"{options.holders} holders and {options.followers} followers run for {options.seconds} s")
        with followers(one, options.followers) as following:
            samples = soak(one, ledger, following, options)
    print(report(ledger, samples))
    return 1 if ledger.wrong else 0


@contextmanager
def followers(one: Bed, count: int) -> Iterator[subprocess.Popen[str]]:
    """Run the followers until the block ends."""
    names = ("issuer", "client_id", "client_secret", "certificate", "ca")
    settings = {name: one.twins.following[name] for name in names}
    argument = json.dumps({**settings, "count": count, "staleness": STALENESS, "timeout": 60}, default=str)
    command = [sys.executable, "-m", "scripts.soaking.followers", argument]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def soak(
    one: Bed, ledger: Ledger, following: subprocess.Popen[str], options: argparse.Namespace
) -> list[Samples]:
    """Run the holders and break things at their times; return the samples of the long-lived processes."""
    stop, folder = Event(), one.twins.folder
    threads = [
        in_background(Holder(number, one, ledger, folder).work, stop, options.pause)
        for number in range(options.holders)
    ]
    killed, lasting = one.twins.other, one.twins.service
    measured = [
        (Samples("service that is not killed"), lambda: one.pid(lasting)),
        (Samples("resource server"), lambda: one.api.process.pid),
        (Samples("all followers"), lambda: following.pid),
    ]

    def sample() -> None:
        for samples, pid in measured:
            samples.take(pid(), time.monotonic() - ledger.started)

    plan = [
        (ROTATIONS, lambda: one.twins.service.command("key", "rotate")),
        (KILLS, lambda: one.kill(killed)),
        (FAILOVERS, lambda: one.fail_over(ledger.note)),
        (CHECKS, lambda: check(ledger, following)),
        (SAMPLES, sample),
    ]
    carry_out([(max(2, round(count * options.part)), do) for count, do in plan], options.seconds, ledger)
    stop.set()
    for thread in threads:
        thread.join(120)
    time.sleep(5)
    check(ledger, following, at_least=0.0)
    return [samples for samples, _ in measured]


def carry_out(plan: list[tuple[int, Callable[[], object]]], seconds: int, ledger: Ledger) -> None:
    """Do everything as often as planned, evenly over the time; what fails while servers are away is noted."""
    times = sorted(
        ((number + 0.5) / count * seconds, place)
        for place, (count, _) in enumerate(plan)
        for number in range(count)
    )
    for due, place in times:
        time.sleep(max(0.0, ledger.started + due - time.monotonic()))
        try:
            plan[place][1]()
        except Exception as error:  # noqa: BLE001 # any failure is one of the report
            ledger.note(f"an event failed: {type(error).__name__} {str(error)[-300:]}")


def check(ledger: Ledger, following: subprocess.Popen[str], at_least: float = 40.0) -> None:
    """Ask the followers for all revocations of the last minutes that they must know by now."""
    now = time.monotonic()
    wanted = [jti for jti, (_, at) in list(ledger.revoked.items()) if at_least <= now - at < 300]
    assert following.stdin is not None
    assert following.stdout is not None
    following.stdin.write(" ".join(wanted) + "\n")
    following.stdin.flush()
    answer = json.loads(following.stdout.readline())
    ledger.count("checks of all followers")
    if answer["missing"]:
        ledger.wrong.append(f"{answer['missing']} times a follower did not know a revocation")
    if answer["stale"]:
        ledger.note(f"{answer['stale']} followers are stale")


def report(ledger: Ledger, samples: list[Samples]) -> str:
    """Return all that was counted, as Markdown."""
    counts = [f"| {what} | {count} |" for what, count in sorted(ledger.counts.items())]
    lines = [
        *(
            "| what | how often |",
            "| --- | --- |",
            *counts,
            f"| revocations acknowledged | {len(ledger.revoked)} |",
        ),
        *("", HEADINGS, *(each.row() for each in samples), "", *ledger.notes, ""),
        *(
            [f"WRONG: {each}" for each in ledger.wrong]
            or ["nothing was let in wrongly, no revocation was lost"]
        ),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
