"""A program, run as `python -c` runs it, but forked; every warning is an error."""

import subprocess
import sys
import warnings
from pathlib import Path

from tests.support import fork_server
from tests.support.service_process import ENVIRONMENT


def run_program(text: str, folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a program in a folder, forked from a process with the package imported already."""
    command = [sys.executable, "-m", "tests.support.typed_program", text]
    done: subprocess.CompletedProcess[str] = fork_server.run(
        command, cwd=folder, env=ENVIRONMENT | variables, capture_output=True, text=True
    )
    return done


def main() -> None:
    """Leave the program no name but those that `python -c` would, and run it."""
    # Starlette's test client would rather have httpx2.
    warnings.filterwarnings("ignore", message="Using `httpx` with")
    names, code = globals(), compile(sys.argv.pop(1), "<string>", "exec")
    sys.argv[0] = "-c"
    for name in names.keys() - {"__name__", "__builtins__"}:
        del names[name]
    exec(code, names)  # it is the guide's


if __name__ == "__main__":
    main()
