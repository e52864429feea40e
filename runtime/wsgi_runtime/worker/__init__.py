"""Modules for uWSGI's workers. They import the standard library and wsgi_runtime's own modules only."""
