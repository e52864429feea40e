"""uWSGI calls the `app` of this file."""

from mysite.wsgi import application as app  # noqa: F401
