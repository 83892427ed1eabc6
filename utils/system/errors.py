"""The one exception for what a user can put right: shown as a line, never as a traceback."""


class UsageError(Exception):
    """Bad input. The message says what is wrong, where, and what would be right; exit code 2."""
