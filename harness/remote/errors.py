"""What can go wrong with a host. Every message is one sentence that names the host; none holds a secret.

RemoteError
  Unreachable        no connection came about, or it is not speaking SSH
  HostKeyError       the host's key is unknown, or another one than is known
  Refused            the host lets this user in by none of the ways we have
  ConnectionLost     the connection ended in the middle; what was asked may have been done or not
  CommandError
    CommandFailed    it ended with another exit status than 0
    CommandTimeout   it took too long, and was ended
    CommandNotRun    it was never started: the login shell would not
      NoRoot         ... or sudo would not
    OutputTooLong    it wrote more than is kept, and was ended
  TransferError      a file could not be sent or fetched
HostsFileError       a file that names hosts makes no sense: its name and the line
"""

from __future__ import annotations

from typing import Final

from harness.remote.shell import Completed

_WORDS_CHARS_MAX: Final = 300


class RemoteError(Exception):
    """`host` is the host's name."""

    def __init__(self, host: str, sentence: str) -> None:
        super().__init__(f"{host}: {sentence}")
        self.host = host


class Unreachable(RemoteError):
    pass


class HostKeyError(RemoteError):
    pass


class Refused(RemoteError):
    pass


class ConnectionLost(RemoteError):
    pass


class CommandError(RemoteError):
    pass


class CommandFailed(CommandError):
    def __init__(self, host: str, what: str, completed: Completed) -> None:
        said = one_line(completed.stderr or completed.stdout)
        how = f"ended with exit status {completed.exit}" + (f": {said}" if said else ", and said nothing")
        super().__init__(host, f"{what} {how}")
        self.completed = completed


class CommandTimeout(CommandError):
    pass


class CommandNotRun(CommandError):
    pass


class NoRoot(CommandNotRun):
    pass


class OutputTooLong(CommandError):
    pass


class TransferError(RemoteError):
    pass


class HostsFileError(Exception):
    pass


def one_line(output: bytes) -> str:
    """The end of what a command said, fit for a sentence."""
    words = " ".join(output.decode("utf-8", "replace").split())
    return words if len(words) <= _WORDS_CHARS_MAX else "..." + words[-_WORDS_CHARS_MAX:]


def reason(error: BaseException) -> str:
    """What a library or the system raised, in words without its type."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, EOFError):
        return "it hung up"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
