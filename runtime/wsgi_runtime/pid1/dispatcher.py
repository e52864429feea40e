"""What the main loop of process 1 reads from."""


class Dispatcher:
    """A pipe that the poll of supervisor's main loop waits for; the methods are those of supervisor's dispatchers."""

    closed = False
    fd: int

    def readable(self) -> bool:
        """It is always read from."""
        return True

    def writable(self) -> bool:
        """It is never written to."""
        return False

    def handle_read_event(self) -> None:
        """Reads, as there is something."""
        raise NotImplementedError

    def handle_error(self) -> None:
        """Nothing but a bug gets here."""
        raise
