#!/bin/sh
# The build has no secrets, and collectstatic needs none.
SECRET_KEY=build exec python3 manage.py collectstatic --noinput --verbosity 0
