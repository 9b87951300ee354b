#!/usr/bin/env bash
# Runs a script of this directory, by default the tests, with a headless Chromium.
# Installs what it uses: Debian's packages as root, playwright-core beside the script.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
command -v chromium >/dev/null || missing+=(chromium)
if [ ${#missing[@]} -gt 0 ]; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "missing: ${missing[*]}" >&2
		exit 1
	fi
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
fi

lock=tests/page/package-lock.json
installed=tests/page/node_modules/installed.json
if ! cmp -s "$lock" "$installed"; then
	npm ci --prefix tests/page --ignore-scripts --no-audit --no-fund --quiet
	cp "$lock" "$installed"
fi
if [ $# -gt 0 ]; then
	exec node "$@"
fi
exec node --test tests/page/page.test.js
