"""Renewal of the certificate: Nginx reads TLS_CERT and TLS_KEY again after one of them has changed."""

import signal
from pathlib import Path

from wsgi_runtime.pid1.file_times import times
from wsgi_runtime.pid1.options import Options
from wsgi_runtime.pid1.programs import Programs


class Certificate:
    """Watches the two files. Without HTTPS there are none."""

    def __init__(self, options: Options, programs: Programs) -> None:
        self._options = options
        self._programs = programs
        self._files = [Path(options.values[name]) for name in ("TLS_CERT", "TLS_KEY") if name in options.values]
        self._loaded = self._seen = times(self._files)

    def tick(self) -> None:
        """Reload Nginx if the files differ from what it has read, and have not changed since the last tick.

        A client such as certbot replaces one file after the other; half of a pair would be an error.
        """
        before, self._seen = self._seen, times(self._files)
        if self._seen == before:
            self.reload()

    def reload(self) -> None:
        """Reload Nginx if the files have changed. Nginx keeps what it has if they are wrong, and logs the error."""
        before, self._loaded = self._loaded, times(self._files)
        if before != self._loaded:
            self._options.logger.info("the certificate has changed: Nginx reads it again")
            self._programs.process("nginx").signal(signal.SIGHUP)
