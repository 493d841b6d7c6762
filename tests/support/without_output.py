"""The command `macaroon-cbat` as in a process that began with standard output closed."""

import os
import sys

from macaroon_cbat.cli import main

if __name__ == "__main__":
    before, sys.stdout = sys.stdout, None  # as in the interpreter, which finds no such descriptor
    os.close(1)
    try:
        main(prog_name="macaroon-cbat")
    finally:
        os.open(os.devnull, os.O_WRONLY)
        sys.stdout = before
