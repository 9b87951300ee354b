#!/usr/bin/env bash
# Runs the Kafka tests, and the services of deploy/compose, against a real Apache Kafka,
# which it fetches, starts and stops, leaving nothing behind but the jars in the user's
# cache. Arguments go to go test, and leave out the services, as in:
# tests/kafka/run.sh -run TestJoin -v
# Needs Go, Java 17 and Maven.
set -euo pipefail
cd "$(dirname "$0")/../.."

jars=$(tests/kafka/broker/fetch.sh)
dir=$(mktemp -d)
tests=

# The tests stop their broker; this is for when they cannot.
clean() {
	[ -z "$tests" ] || kill -- "-$tests" 2>/dev/null || true
	for file in "$dir"/*/*.pid; do
		[ -f "$file" ] || continue
		pid=$(cat "$file")
		if grep -q kafka.Kafka "/proc/$pid/cmdline" 2>/dev/null; then
			kill -9 "$pid"
		fi
	done
	rm -rf "$dir"
}
trap clean EXIT
trap 'exit 130' HUP INT TERM

race=
if command -v gcc >/dev/null 2>&1; then
	race=-race
fi
set -m # the tests get a process group, which ends as a whole
export MFN_KAFKA_JARS=$jars MFN_KAFKA_DIR=$dir
status=0
go test $race -count=1 -timeout 15m ./tests/kafka "$@" &
tests=$!
wait "$tests" || status=$?
if [ $# = 0 ]; then # what the compose file starts, too
	go test -count=1 -timeout 5m -run '^TestComposeServicesRunTogether$' ./tests &
	tests=$!
	wait "$tests" || status=$?
fi
tests=
exit "$status"
