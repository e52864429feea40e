"""Entry point of the log program: it writes the output of all other programs to the container's output."""

import json
import os
import signal

from wsgi_runtime import logs, values
from wsgi_runtime.log.convert import converter
from wsgi_runtime.log.pump import Output, Pipe, Pump
from wsgi_runtime.scoreboard import Scoreboard

FINISH_SECONDS = 1.0
"""Time for the last lines after the stop signal."""

stopping = False


def main() -> None:
    """Run until SIGTERM. LOG_PIPES holds the file descriptor of each pipe, by name, as JSON."""
    logs.take_over()
    signal.signal(signal.SIGTERM, stop)
    for ignored in signal.SIGINT, signal.SIGHUP, signal.SIGQUIT:
        signal.signal(ignored, signal.SIG_IGN)
    board = Scoreboard()
    pipes = [Pipe(fd, converter(name)) for name, fd in json.loads(os.environ["LOG_PIPES"]).items()]
    # Since PEP 475 a signal does not end a poll. Python writes a byte to this pipe at each signal.
    wakeup, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write_end)
    logs.text_format = values.read()["LOG_FORMAT"] == "text"
    output = Output(1, logs.text_format)
    pump = Pump([*pipes, Pipe(wakeup, lambda _: b"")], output)
    before = board.dropped_lines
    while not stopping:
        pump.turn()
        board.log_turns += 1
        board.dropped_lines = before + output.dropped
    pump.finish(FINISH_SECONDS)


def stop(*_: object) -> None:
    """Handle SIGTERM."""
    global stopping
    stopping = True


if __name__ == "__main__":
    main()
