"""The exception for bad input. Scripts print it as a line, without a traceback, and exit with code 2."""


class UsageError(Exception):
    """The message says what is wrong, where, and what would be right."""
