"""The one error a user is meant to read."""


class UserError(Exception):
    """A mistake that the user can mend.

    The message names the file, field or flag, what was found, what was expected, and what to do. The command
    line prints it as one sentence, without a traceback, and exits with 2.
    """
