"""Migrations, as `manage.py makemigrations` writes them."""
