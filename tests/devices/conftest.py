"""The command line and a file, as the tests of the commands have them."""

from ..cli.conftest import cli, heights_csv

__all__ = ["cli", "heights_csv"]
