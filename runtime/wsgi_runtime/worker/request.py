"""The current request of each thread and greenlet, for the log and for the hooks."""

import contextvars

from wsgi_runtime.scoreboard import Slot


class Request:
    """What is known about a request: `id` and `traceparent` are those of its headers, or empty."""

    __slots__ = "endpoint", "exception", "id", "slot", "traceparent"

    def __init__(self, request_id: str, traceparent: str, slot: Slot) -> None:
        """`slot`: the record of the thread or greenlet in the scoreboard."""
        self.id = request_id
        self.traceparent = traceparent
        self.slot = slot
        self.endpoint = self.exception = ""
        """Endpoint of the request, and type of the exception, as worker/hooks.py records them."""


current: contextvars.ContextVar[Request | None] = contextvars.ContextVar("request", default=None)
"""The last request that began here; None in a thread of the app. Code that copies the context of a request, such as an
async view, has it as well."""
