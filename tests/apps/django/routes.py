"""Django's admin, on a database that is made when the container starts."""

import fcntl
import os
from pathlib import Path

import django
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()

from django.contrib.auth.models import User  # noqa: E402 - models exist only after setup()

# Each worker process imports this file: the first one makes the database, the others wait until it is there.
with Path("/tmp/database.lock").open("w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    call_command("migrate", verbosity=0)
    if not User.objects.exists():
        User.objects.create_superuser("ada", password="lovelace", first_name="Ada")

app = StaticFilesHandler(get_wsgi_application())
