"""The project's app with the webhook beside it. uWSGI calls the `app` of this file."""

import sys
from importlib import import_module

from werkzeug.middleware.dispatcher import DispatcherMiddleware

import deployment
import webhook

# This process keeps its release when the link changes.
sys.path.insert(0, str(deployment.CURRENT.resolve()))
project = import_module("routes").app
app = DispatcherMiddleware(project, {"/webhook": webhook.app})
