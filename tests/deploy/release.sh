#!/usr/bin/env bash
# Looks into what `make release-snapshot` has left in dist/.
set -euo pipefail
cd "$(dirname "$0")/../../dist"

version=$(python3 -c 'import json; print(json.load(open("metadata.json"))["version"])')
for platform in linux_amd64 linux_arm64 darwin_amd64 darwin_arm64 windows_amd64 windows_arm64; do
	archive=mfn-connect_${version}_$platform
	test -s "$archive.cdx.json" || { echo "$archive.cdx.json is not there"; exit 1; }
	python3 -c 'import json, sys; assert len(json.load(open(sys.argv[1]))["components"]) > 50' "$archive.cdx.json"
	case $platform in
	windows_*) python3 -m zipfile --list "$archive.zip" | grep -q mfn-connect.exe ;;
	*) tar -tzf "$archive.tar.gz" | grep -qx mfn-connect ;;
	esac
done
for package in deb rpm; do
	test "$(find . -maxdepth 1 -name "*.$package" | wc -l)" = 2
done
sha256sum --quiet --check checksums.txt

# The program of this machine says what it was built from, and needs no library.
program=$(mktemp -d)
trap 'rm -rf "$program"' EXIT
tar -xzf "mfn-connect_${version}_linux_$(go env GOARCH).tar.gz" -C "$program" mfn-connect
"$program/mfn-connect" --version
"$program/mfn-connect" --version | grep -q "$(git rev-parse --short=12 HEAD)"
! ldd "$program/mfn-connect" 2>/dev/null
du -ch ./*.tar.gz ./*.zip ./*.deb ./*.rpm | tail -n 1
