#!/bin/sh
set -e
npm ci --no-audit --no-fund
npm run build
rm -r node_modules
