"""Command line of the trial of the distributions."""

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wheelhouse.distributions import EXTRAS, ROOT, build, content_faults, metadata_faults
from wheelhouse.environments import Environment
from wheelhouse.interpreters import VERSIONS, interpreter
from wheelhouse.trials import trial_of


def main() -> int:
    """Build and check the distributions, try each extra, and return 0 if all of it passed."""
    options = _options()
    try:
        pythons = [interpreter(name) for name in options.python or VERSIONS]
    except LookupError as error:
        print(f"scripts/wheels: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="wheelhouse-") as folder:
        wheel, sdist = build(Path(folder))
        print(
            f"{wheel.name}: {wheel.stat().st_size >> 10} KiB, {sdist.name}: {sdist.stat().st_size >> 10} KiB"
        )
        _run(sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sdist))
        faults = [*content_faults(wheel), *metadata_faults(wheel)]
        print("\n".join(faults) or "the content and the metadata of the wheel are complete")
        wanted = [
            Environment(Path(folder), python, extra, wheel, pins=None if options.newest else PINS)
            for python in pythons
            for extra in options.extra or ("plain", *EXTRAS)
        ]
        with ThreadPoolExecutor(2) as pool:
            failed = [one for one in pool.map(_try, wanted) if one]
    return 1 if faults or failed else 0


PINS = ROOT / "scripts/requirements.txt"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/wheels", description=__doc__)
    parser.add_argument(
        "--python", action="append", metavar="PYTHON", help="3.12, a name or a path; repeatable"
    )
    parser.add_argument("--newest", action="store_true", help="the newest versions, not those of our tests")
    parser.add_argument("extra", nargs="*", help="plain, or an extra; by default plain and every extra")
    options = parser.parse_args()
    for unknown in set(options.extra) - {"plain", *EXTRAS}:
        parser.error(f"{unknown!r} is no extra: the extras are plain, {', '.join(EXTRAS)}")
    return options


def _try(environment: Environment) -> str | None:
    """Install, run the trial, say how it went, and return what failed."""
    try:
        environment.install()
        environment.run(trial_of(environment.extra))
    except subprocess.CalledProcessError as error:
        failure = f"FAILED  {environment}\n{error.stdout}{error.stderr}"
        print(failure, flush=True)
        return failure
    packages, size = environment.size()
    print(f"passed  {environment}: {packages} packages, {size} MB", flush=True)
    return None


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    sys.exit(main())
