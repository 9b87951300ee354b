#!/usr/bin/env bash
# Checks what is in deploy/ as far as it can be without an engine or a cluster.
# Needs bin/mfn-connect, bin/tools/helm, and Python 3 with venv. Where systemd-analyze
# and promtool are not there, it says so and goes on.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=bin/python-deploy
requirements=tests/deploy/requirements.txt
if ! cmp -s "$requirements" "$venv/installed.txt"; then
	python3 -m venv --clear "$venv"
	"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
	cp "$requirements" "$venv/installed.txt"
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

echo "== Dockerfiles"
"$venv/bin/hadolint" deploy/Dockerfile deploy/Dockerfile.release

echo "== compose"
"$venv/bin/python" tests/deploy/compose.py deploy/compose/compose.yaml
bin/mfn-connect lint deploy/compose/sweep.yaml
if command -v promtool >/dev/null; then
	mkdir "$dir/prometheus"
	cp deploy/compose/prometheus.yaml deploy/prometheus/alerts.yaml "$dir/prometheus"
	promtool check config "$dir/prometheus/prometheus.yaml"
else
	echo "there is no promtool: prometheus.yaml is not checked"
fi

echo "== Helm chart"
chart=deploy/helm/mfn-connect
for values in $chart/values.yaml $chart/ci/*.yaml; do
	echo "-- $values"
	bin/tools/helm lint --quiet --strict "$chart" --values "$values"
	bin/tools/helm template release "$chart" --kube-version 1.33.0 --values "$values" >"$dir/rendered.yaml"
	"$venv/bin/kubernetes-validate" --kubernetes-version 1.33 --strict "$dir/rendered.yaml"
	"$venv/bin/python" - "$dir" <<-'PYTHON'
		import pathlib, sys, yaml
		directory = pathlib.Path(sys.argv[1])
		for document in yaml.safe_load_all((directory / "rendered.yaml").read_text()):
		    if document["kind"] == "ConfigMap":
		        (directory / "stream.yaml").write_text(document["data"]["stream.yaml"])
	PYTHON
	if [ -f "$dir/stream.yaml" ]; then
		TRANSACTIONAL_ID=release-0 bin/mfn-connect lint "$dir/stream.yaml"
		rm "$dir/stream.yaml"
	fi
done

# refused VALUE TEXT: the chart must not take the value, and say why.
refused() {
	if bin/tools/helm template release "$chart" --kube-version 1.33.0 --set "$1" >"$dir/out" 2>&1; then
		echo "the chart takes $1"
		exit 1
	fi
	grep -q "$2" "$dir/out" || { cat "$dir/out"; exit 1; }
}
refused replicas=two replicas
refused replica=2 replica
refused secretEnv.PASSWORD=secret secretEnv
refused keda.enabled=true bootstrapServers
refused keda.enabled=true,keda.bootstrapServers=b:9092,hpa.enabled=true 'only one of them'

echo "== systemd unit"
if command -v systemd-analyze >/dev/null; then
	sed "s|/usr/bin/mfn-connect|$PWD/bin/mfn-connect|" deploy/systemd/mfn-connect@.service >"$dir/mfn-connect@.service"
	systemd-analyze verify --man=no "$dir/mfn-connect@.service"
	systemd-analyze security --offline=true --threshold=20 "$dir/mfn-connect@.service" | tail -n 1
else
	echo "there is no systemd-analyze: the unit is not checked"
fi
