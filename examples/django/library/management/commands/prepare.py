"""manage.py prepare: migrate the database, and create the first user."""

from contextlib import contextmanager, nullcontext

from django.contrib.auth import get_user_model
from django.core.management import BaseCommand, call_command
from django.db import connection

LOCK = 7_206_142
"""Any number, the same in all containers of this project."""


@contextmanager
def advisory_lock():
    """Hold PostgreSQL's advisory lock: two containers that migrate at the same time would disturb each other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        yield  # the end of this process, and of its connection, releases the lock


class Command(BaseCommand):
    """Idempotent, and safe to run concurrently."""

    help = "Migrate the database, and create the user admin with the password DJANGO_SUPERUSER_PASSWORD."

    def handle(self, *args, **options):
        """Run the command."""
        with advisory_lock() if connection.vendor == "postgresql" else nullcontext():
            call_command("migrate", interactive=False)
            if not get_user_model().objects.exists():
                call_command("createsuperuser", interactive=False, username="admin", email="admin@example.org")
