#!/bin/sh
exec python3 migrate.py
