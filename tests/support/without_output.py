"""Commands of `macaroon-cbat` in a process that began with standard output closed, each in a child."""

import json
import os
import sys

from macaroon_cbat.cli import main
from macaroon_cbat.cli.client import client as client  # each child would import it anew


def run() -> None:
    """Run each argument, a command as JSON; write its status after what it says on standard error."""
    assert sys.stdout is None
    for words in sys.argv[1:]:
        pid = os.fork()
        if pid == 0:
            main(json.loads(words), prog_name="macaroon-cbat")
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sys.stderr.write(f"status {status}\n")


if __name__ == "__main__":
    run()
