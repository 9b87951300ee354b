#!/usr/bin/env bash
# Runs serve.yaml, and has schemathesis look for requests and answers that its
# description does not allow. Arguments go to schemathesis.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=bin/python-service
requirements=tests/service/requirements.txt
if ! cmp -s "$requirements" "$venv/installed.txt"; then
	python3 -m venv --clear "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
	cp "$requirements" "$venv/installed.txt"
fi

dir=$(mktemp -d)
service=
clean() {
	[ -z "$service" ] || kill "$service" 2>/dev/null || true
	rm -rf "$dir"
}
trap clean EXIT
trap 'exit 130' HUP INT TERM

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
url=http://127.0.0.1:$(free_port)
key=a-key-of-this-run
ADDRESS=${url#http://} METRICS_ADDRESS=127.0.0.1:$(free_port) API_KEY=$key MAX_GRID_SIZE=64 MAX_STEPS=200 RATE_LIMIT=100000 \
	bin/mfn-connect -c config/serve.yaml >"$dir/log" 2>&1 &
service=$!
for _ in $(seq 100); do
	if curl --silent --fail --header "X-API-Key: $key" --output "$dir/openapi.json" "$url/openapi.json"; then break; fi
	kill -0 "$service" || { cat "$dir/log"; exit 1; }
	sleep 0.1
done

"$venv/bin/openapi-spec-validator" "$dir/openapi.json"
(cd "$dir" && exec "$OLDPWD/$venv/bin/schemathesis" --config-file "$OLDPWD/tests/service/schemathesis.toml" \
	run "$url/openapi.json" --header "X-API-Key: $key" --checks all --seed 1 --max-examples 100 --no-color "$@") |
	cut -c -300
kill -0 "$service" || { echo "the service has ended"; cat "$dir/log"; exit 1; }
if grep -E "panic|level=error" "$dir/log"; then exit 1; fi
