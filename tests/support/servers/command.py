"""The command `python -m MODULE ARGUMENTS`, in a process that has imported the frameworks already."""

import runpy
import sys

if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
