#!/usr/bin/env bash
# Runs workers of one consumer group in network namespaces, against three brokers,
# and prints who has done how much. Arguments go to the test, as in -count 10000.
# Needs root, for the namespaces, ip and unshare; Go, Java 17 and Maven.
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "$(id -u)" != 0 ]; then
	echo "tests/scale needs root: it makes network namespaces" >&2
	exit 1
fi
jars=${MFN_KAFKA_JARS:-$(tests/kafka/broker/fetch.sh)}
dir=$(mktemp -d)
test=

# The test ends what it starts; this is for when it cannot.
clean() {
	if [ -n "$test" ]; then
		kill -- "-$test" 2>/dev/null || true
		wait "$test" 2>/dev/null || true
	fi
	for file in "$dir"/*/*.pid; do
		[ -f "$file" ] || continue
		pid=$(cat "$file")
		if grep -q kafka.Kafka "/proc/$pid/cmdline" 2>/dev/null; then
			kill -9 "$pid"
		fi
	done
	if [ -n "$test" ]; then
		for name in $(ip netns list | cut -d ' ' -f 1 | grep "^mfn-scale-$test-" || true); do
			ip netns delete "$name" || true
		done
	fi
	rm -rf "$dir"
}
trap clean EXIT
trap 'exit 130' HUP INT TERM

go build -o "$dir/scale" ./tests/scale
set -m # the test gets a process group, which ends as a whole
MFN_KAFKA_JARS=$jars MFN_KAFKA_DIR=$dir unshare --net "$dir/scale" "$@" &
test=$!
wait "$test"
