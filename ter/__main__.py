"""``python -m ter``: the command line."""

from ter.cli import main

if __name__ == "__main__":
    main()
