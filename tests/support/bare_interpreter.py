"""An interpreter without the libraries of any extra, and its children, each with those of some extras.

To start Python and import what every installation has takes a sixth of a second, and a probe must find
nothing imported that another has imported: each is forked, from a process that has imported no more.
"""

import atexit
import gc
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, NoReturn

from tests.support.patience import SECONDS

CORE = ("click", "cryptography.x509", "msgspec", "nacl.secret", "pymacaroons")
"""The libraries of a plain installation."""


class Finder:
    """Finds what the interpreter finds, but for the hidden modules."""

    hidden: frozenset[str] = frozenset()

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module is; None if it is hidden."""
        return None if name.partition(".")[0] in cls.hidden else PathFinder.find_spec(name, path, target)


def main() -> None:
    """Run the code of each message on standard input in a child, and tell the status of each."""
    Finder.hidden = frozenset(json.loads(sys.stdin.readline()))
    sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
    for name in [name for name in sys.modules if name.partition(".")[0] in Finder.hidden]:
        del sys.modules[name]
    for name in CORE:
        __import__(name)
    gc.freeze()
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            signal.alarm(SECONDS)
            _run(json.loads(line))
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")
        sys.stdout.flush()


def _run(message: Mapping[str, Any]) -> NoReturn:
    """Do what `python -c CODE ARGUMENT...` does in a fresh interpreter."""
    for number, name in enumerate((os.devnull, message["out"], message["err"])):
        os.dup2(os.open(name, os.O_RDWR), number)
    Finder.hidden = frozenset(message["hidden"])
    sys.argv = ["-c", *message["arguments"]]
    module = sys.modules["__main__"] = ModuleType("__main__")
    module.__dict__.update(sys=sys, Finder=Finder)
    status = _status_of(message["code"], module.__dict__)
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 # as the interpreter does at the end
    atexit._run_exitfuncs()  # noqa: SLF001
    sys.stdout.flush()
    os._exit(status)


def _status_of(code: str, names: dict[str, Any]) -> int:
    try:
        exec(compile(code, "<string>", "exec"), names)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    except BaseException:  # noqa: BLE001 # as the interpreter does
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main()
