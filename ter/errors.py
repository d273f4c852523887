"""The errors that `ter` raises: flat, each with the exit code that the command line ends with."""

from __future__ import annotations


class TerError(Exception):
    """Base of every error that `ter` raises on purpose: it says what is wrong, where, and how to mend it."""

    exit_code = 2


class OptionError(TerError, ValueError):
    """An option, a setting or an argument is not one that `ter` takes."""

    exit_code = 2


class DataError(TerError, ValueError):
    """A table cannot be used as it is; the message lists every kind of fault found."""

    exit_code = 3


class FitError(TerError):
    """The model could not be fitted, or what was fitted must not be published."""

    exit_code = 4


class AlreadyPublishedError(TerError):
    """The month's report exists, and overwriting was not asked for."""

    exit_code = 5


class ModelFileError(TerError):
    """A saved model is truncated, was changed, or was written by a newer version."""

    exit_code = 3
