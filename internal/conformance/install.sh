#!/bin/sh
# Installs what the tests here run (the conformance suites, the Inspector and a Node for them) into node_modules beside
# this file. Does nothing when what package-lock.json says is there already.
set -eu
cd "$(dirname "$0")"
stamp=node_modules/.installed
if cmp -s package-lock.json "$stamp" && [ -x node_modules/.bin/node ]; then
	exit 0
fi
command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or newer, which brings it" >&2; exit 1; }
rm -f "$stamp"
npm ci --loglevel=error
node_modules/.bin/node --version >/dev/null
cp package-lock.json "$stamp"
