"""Django's admin, on a database that is created at import."""

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

# Each worker process imports this file. The first one creates the database while the others wait.
with Path("/tmp/database.lock").open("w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    call_command("migrate", verbosity=0)
    if not User.objects.exists():
        User.objects.create_superuser("ada", password="lovelace", first_name="Ada")

app = StaticFilesHandler(get_wsgi_application())
