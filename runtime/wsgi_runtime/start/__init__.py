"""Startup: settings, limits, rendered configuration files, checks."""
