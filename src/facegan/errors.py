"""The one error a user is meant to read."""

_LONGEST = 1800


class UserError(Exception):
    """A mistake that the user can mend.

    The message names the file, field or flag, what was found, what was expected, and what to do. The command
    line prints it as one sentence, without a traceback, and exits with 2. A message that a hostile file made longer
    than a screen is cut.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message if len(message) <= _LONGEST else message[:_LONGEST] + " ...")


def brief(error: BaseException) -> str:
    """Return what an error says, or its beginning: a hostile file can make a library's message as long as itself."""
    text = str(error) or type(error).__name__
    if isinstance(error, KeyError):
        text = f"{error.args[0]} is missing"
    elif isinstance(error, TypeError):
        text = "it holds something else than it should"
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror
    return text if len(text) <= 200 else text[:200] + "..."
