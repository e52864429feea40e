#!/bin/sh
# Create the certificate of the server itself, and start the server.
set -e
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=acme -addext subjectAltName=DNS:acme -keyout /tmp/acme.key -out /pebble/acme.crt
exec pebble -config /pebble.json
