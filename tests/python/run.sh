#!/usr/bin/env bash
# Runs the tests of this directory in a virtual environment, which it makes.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=bin/python
requirements=tests/python/requirements.txt
if ! cmp -s "$requirements" "$venv/installed.txt"; then
	python3 -m venv --clear "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
	cp "$requirements" "$venv/installed.txt"
fi
exec "$venv/bin/python" -m unittest discover --start-directory tests/python "$@"
