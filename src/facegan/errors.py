"""The one error a user is meant to read, and what failures of the system say in words."""

import errno
import re

_LONGEST = 1800
_NO_MEMORY = re.compile(r"out of memory|allocate memory|bad_alloc|ALLOC_FAILED|can't start new thread", re.IGNORECASE)


class UserError(Exception):
    """A mistake that the user can mend.

    The message names the file, field or flag, what was found, what was expected, and what to do. The command
    line prints it as one sentence, without a traceback, and exits with ``exit_code``. A message that a hostile file
    made longer than a screen is cut.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(message if len(message) <= _LONGEST else message[:_LONGEST] + " ...")


class OthersSayError(UserError):
    """What is wrong is said by another process of the same training; this one ends without a word."""


def brief(error: BaseException) -> str:
    """Return what an error says, or its beginning, in one line: a hostile file can make a library's message as long as
    itself."""
    text = str(error) or type(error).__name__
    if isinstance(error, KeyError):
        text = f"{error.args[0]} is missing"
    elif isinstance(error, TypeError):
        text = "it holds something else than it should"
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror
    text = " ".join(text[:1000].split())
    return text if len(text) <= 200 else text[:200] + "..."


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception says that memory ran out, the machine's or a GPU's.

    NumPy raises ``MemoryError``, PyTorch a plain ``RuntimeError`` on a CPU and ``torch.OutOfMemoryError`` on a GPU, the
    system ``ENOMEM``.
    """
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error))))


_ADVICE = {
    errno.ENOSPC: "make room there, or choose another place",
    errno.EDQUOT: "your share of the disk is used up: make room there, or choose another place",
    errno.EACCES: "change its permissions, or choose another place",
    errno.EPERM: "change its permissions, or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "its symbolic links lead in a circle; give the place that is meant",
    errno.ENOTDIR: "a part of this path is a file, where a folder is expected; give another path",
    errno.EISDIR: "it is a folder, where a file is expected; give another path",
    errno.EEXIST: "something else is there already, or a link that leads nowhere; give another path",
    errno.ENOENT: "is it a link that leads nowhere, or was it removed meanwhile? Give another path",
    errno.EMFILE: "close other programs, or raise the limit with ulimit -n",
    errno.ENFILE: "close other programs, then try again",
    errno.EIO: "the disk or the network it is on fails: copy what you need elsewhere, and try again there",
    errno.ESTALE: "the network folder went away: connect it again, then repeat the command",
}


def reason(error: OSError) -> str:
    """Return what the system answered, and what to do about it."""
    return f"{error.strerror or brief(error)}; {_ADVICE.get(error.errno or 0, 'check that place, or choose another')}"


def system_failure(error: OSError) -> str:
    """Return what the system could not do, where, and what to do about it, in a sentence."""
    names = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return f"{names}: {reason(error)}" if names else reason(error)


_DENIED = (errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ELOOP)


def check_not_denied(error: BaseException) -> None:
    """Keep what the system denies from being called damage: a file that may not be read now may be whole.

    Raises:
        UserError: the error says that a file may not, or cannot be read.
        The error itself: memory ran out.
    """
    if is_out_of_memory(error):
        raise error
    if isinstance(error, OSError) and error.errno in _DENIED:
        raise UserError(system_failure(error)) from error
