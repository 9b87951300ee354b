#!/bin/sh
# Fetches the jars of Apache Kafka, once, into the user's cache and prints the
# directory. Needs Maven.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
sum=$(cksum < "$here/pom.xml" | cut -d ' ' -f 1)
jars=${XDG_CACHE_HOME:-$HOME/.cache}/mfn-connect/kafka-$sum
if [ ! -d "$jars" ]; then
	mkdir -p "$(dirname "$jars")"
	partial=$(mktemp -d "$jars.XXXXXX")
	trap 'rm -rf "$partial"' EXIT
	mvn --batch-mode --quiet --file "$here/pom.xml" \
		org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
		-DoutputDirectory="$partial" >&2
	# A second one that has been as fast is as good.
	mv -T "$partial" "$jars" 2>/dev/null || [ -d "$jars" ]
fi
echo "$jars"
