"""`python -m sightline`."""

from .cli import main

main()
