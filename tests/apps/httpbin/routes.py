"""httpbin, as it comes."""

from httpbin import app as app
