"""httpbin, unchanged."""

from httpbin import app as app
