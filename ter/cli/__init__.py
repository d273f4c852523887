"""The command line: it parses, calls a job, and prints where the result is. It computes nothing."""

from ter.cli.app import app, main

__all__ = ["app", "main"]
