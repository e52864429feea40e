"""Inside uWSGI's workers: the standard library and our own modules without packages only."""
