"""Errors that a user can cause, each with a one-sentence message: what is wrong, where, and what would be right."""


class ZooError(Exception):
    """Base class; a command line prints the message and exits with code 2, without a traceback."""


class MXNetUnavailable(ZooError, ImportError):
    """MXNet is missing or cannot be loaded on this machine."""


class UnknownName(ZooError, KeyError):
    """A model, context or option that does not exist."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


class DataError(ZooError, ValueError):
    """Data files, IDX or RecordIO, that are missing, damaged or not what they should be."""


class WeightsError(ZooError, ValueError):
    """A parameter file that is missing, damaged or made for another network."""


class DivergenceError(ZooError, ArithmeticError):
    """Training produced a loss that is not a finite number."""
