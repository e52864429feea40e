"""The project's app with the webhook beside it. uWSGI calls the `app` of this file."""

import sys
from importlib import import_module

import deployment
import webhook

# This process keeps its release when the link changes.
sys.path.insert(0, str(deployment.CURRENT.resolve()))
project = import_module("routes").app


def app(environ, start_response):
    """Pass a request on."""
    receiver = webhook.app if environ["PATH_INFO"] == "/webhook" else project
    return receiver(environ, start_response)
