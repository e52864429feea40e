"""The end of a poll at each signal."""

import os
import signal


class Wakeup:
    """A pipe that Python writes to at each signal, so that a poll ends at once (signal.set_wakeup_fd).

    Since PEP 475 a signal alone doesn't end it. The methods are those of supervisor's dispatchers.
    """

    closed = False

    def __init__(self) -> None:
        self.fd, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)

    def readable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return False."""
        return False

    def handle_read_event(self) -> None:
        """Empty the pipe; what the signals meant is known elsewhere."""
        os.read(self.fd, 4096)

    def handle_error(self) -> None:
        """Raise the error: nothing but a bug gets here."""
        raise
