#!/bin/sh
exec python3 manage.py prepare
