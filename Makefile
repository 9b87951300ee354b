# Needs Go and make; with a C compiler the tests run under the race detector.
BINARY   := bin/mfn-connect
RACE     := $(shell command -v gcc >/dev/null 2>&1 && echo -race)
# A count, since a run of some time may end with an error that is none.
FUZZTIME ?= 10000x
TOOLS    := bin/tools

GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION   := v1.9.0
HELM_VERSION          := v3.22.0
GORELEASER_VERSION    := v2.15.1
CYCLONEDX_VERSION     := v1.10.0

.PHONY: run map pictures build test test-kafka test-python test-faults lint mutants vet-arm64 vulnerabilities bench fuzz docs clean help

## run: simulate the quickstart's sweep; results and pictures go to results/
run: build
	./$(BINARY) -c config/quickstart.yaml

## map: simulate a map of patterns over two parameters; Zarr, Parquet and a picture go to results/
map: build
	./$(BINARY) -c config/map.yaml

## build: build the program into bin/; without a debugger's tables it is there sooner
build:
	@mkdir -p bin
	go build -buildvcs=auto -gcflags=all=-dwarf=false -ldflags='-s -w' -o $(BINARY) .

## test: all tests that need no service, and the streams' own tests
test: build
	go vet ./...
	go test $(RACE) -timeout 15m $$(go list ./... | grep -v '/plugins$$')
	go test -timeout 15m ./plugins # every field of every component, one after the other
	./$(BINARY) lint ./config/*.yaml
	./$(BINARY) test ./config/...

## test-kafka: the Kafka tests against a real broker (Java 17, Maven)
test-kafka:
	./tests/kafka/run.sh

## test-python: what Python's libraries read of our files (Python 3 with venv)
test-python: build
	./tests/python/run.sh

.PHONY: test-service
## test-service: serve.yaml against its own OpenAPI description, by schemathesis (Python 3 with venv, curl)
test-service: build
	./tests/service/run.sh

.PHONY: test-page page-pictures
## test-page: the page of the running program, in a headless Chromium (Node.js, npm, chromium)
test-page: build
	./tests/page/run.sh

## page-pictures: make the pictures of docs/page.md again (as test-page)
page-pictures: build
	./tests/page/run.sh tests/page/pictures.js

.PHONY: test-scale
## test-scale: workers of one group in network namespaces, for some 10 minutes (root, ip, Java 17, Maven)
test-scale: build
	./tests/scale/run.sh

## test-faults: break things on purpose for about 20 minutes, and print the table
test-faults:
	MFN_KAFKA_JARS="$$(tests/kafka/broker/fetch.sh)" go run ./tests/faults

## mutants: put small faults into the program and see which the tests notice; more than an hour. MUTANTS='-base main' for what has changed
mutants:
	go run ./tests/mutants $(MUTANTS)

## lint: golangci-lint, installed into bin/tools
lint: $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)
	$< run ./...

$(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION):
	GOBIN=$(abspath $(TOOLS)) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(TOOLS)/golangci-lint $@

.PHONY: check-deploy release-snapshot build-platforms
## check-deploy: the Dockerfiles, the compose file, the Helm chart and the unit of deploy/ (Python 3 with venv; systemd-analyze and promtool where they are there)
check-deploy: build $(TOOLS)/helm
	./tests/deploy/run.sh

$(TOOLS)/helm:
	GOBIN=$(abspath $(TOOLS)) go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)

## release-snapshot: all that a release has but its images, into dist/, published nowhere (minutes)
release-snapshot: $(TOOLS)/goreleaser $(TOOLS)/cyclonedx-gomod
	$(TOOLS)/goreleaser check
	PATH="$(abspath $(TOOLS)):$$PATH" $(TOOLS)/goreleaser release --snapshot --clean --skip=docker,publish
	./tests/deploy/release.sh

$(TOOLS)/goreleaser:
	GOBIN=$(abspath $(TOOLS)) go install github.com/goreleaser/goreleaser/v2@$(GORELEASER_VERSION)

$(TOOLS)/cyclonedx-gomod:
	GOBIN=$(abspath $(TOOLS)) go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)

## build-platforms: compile for each platform of a release
build-platforms:
	set -e; for platform in linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64; do \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} CGO_ENABLED=0 go build -o /dev/null .; \
	done

## vet-arm64: compile and vet everything for arm64
vet-arm64:
	GOARCH=arm64 CGO_ENABLED=0 go vet ./...

## vulnerabilities: known ones in what is used, by govulncheck
vulnerabilities:
	go run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) ./...

## bench: the engine against the C loop and NumPy, the whole program, and what it costs to write results
bench:
	go run ./tests/bench
	go run ./tests/bench/datasets

## fuzz: each fuzz target for FUZZTIME inputs
fuzz:
	@grep -rl '^func Fuzz' --include='*_test.go' . | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file"); do \
			echo "== $$target in $$(dirname "$$file")"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" || exit 1; \
		done; \
	done

## docs: generate the component reference and the JSON schema for editors from the specs
docs: build
	./$(BINARY) schema > config/schema.json.new
	mv config/schema.json.new config/schema.json
	go run ./docs/generate > docs/components.md.new
	mv docs/components.md.new docs/components.md

## pictures: make the pictures of the README and the docs again
pictures: build
	dir=$$(mktemp -d) && RESULTS=$$dir ./$(BINARY) -c config/quickstart.yaml >/dev/null && \
		RESULTS=$$dir ./$(BINARY) -c config/map.yaml && \
		cp $$dir/sweep.png docs/pictures/quickstart.png && cp $$dir/map.png docs/pictures/map.png && rm -r $$dir

## clean: remove what the other targets made
clean:
	rm -rf bin dist results tests/page/node_modules

## help: this list
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)
