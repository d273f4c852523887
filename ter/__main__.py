"""``python -m ter``: the command line."""

from ter.cli import main

main()
