"""Run the command line: python -m macaroon_cbat."""

from macaroon_cbat.cli import main

if __name__ == "__main__":
    main(prog_name="macaroon-cbat")
