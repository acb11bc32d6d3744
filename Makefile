# What a contributor and CI run; `make help` lists it. Tools are pinned here and installed into .tools.
# With CI=true nothing that is missing is passed over.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GOFUMPT_VERSION := v0.12.0
GOLANGCI_VERSION := v2.15.0
GOVULNCHECK_VERSION := v1.9.0

GOFUMPT := .tools/$(GOFUMPT_VERSION)/gofumpt
GOLANGCI := .tools/$(GOLANGCI_VERSION)/golangci-lint

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 30s
FAULTS ?= 100000
SABOTAGE ?= .
IN_FULL := Corpus|InBatches|BudgetNever|Runaway|DNC|Obedient|ConfirmReplay|TenantIsolation|Disclosure|Hours|Zone
# The tests of the whole program in which the most goes on at once.
MEETINGS := EqualRequests|Terminated|Zombie|Shutdown|AgentOnTheLine|PamelaIsHeard|Bearers|BudgetRace
# And those among them that measure, which the race detector makes slow.
MEASURED := WebhooksAre|FragmentsSeen

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: test
test: prepare ## every test, with the race detector where goroutines meet; brings what they need
	@race=-race; \
	if ! command -v "$$(go env CC)" >/dev/null; then \
		echo "NOT RUN: the race detector, which needs a C compiler" >&2; \
		if [ "$${CI:-}" = true ]; then exit 1; fi; \
		race=; \
	fi; \
	set -x; go test $$race -p 4 -timeout 10m -skip '$(IN_FULL)|Postgres' $$(go list ./... | grep -vE '/outdial/(cmd|internal)/'); \
	go test $$race -timeout 10m -run '$(MEETINGS)|$(MEASURED)' ./cmd/outdial
	@# Without it, what would only play a part of itself with it, and what takes too long (make race):
	@set -x; go test -p 4 -timeout 10m ./internal/... & rest=$$!; \
	go test -timeout 10m -skip '$(MEETINGS)' ./cmd/...; \
	go test -timeout 10m -run '$(IN_FULL)|Postgres' $$(go list ./... | grep -vE '/outdial/(cmd|internal)/'); \
	wait $$rest

.PHONY: race
race: prepare ## every test with the race detector: before a release
	go test -race -timeout 40m ./...

.PHONY: prepare
prepare: # what the tests need beside Go
	@.ci/prepare

.PHONY: check
check: format lint modules ## what must hold at each commit: form, lint, modules, tests without the race detector
	go test ./...

.PHONY: format
format: $(GOFUMPT) ## whether gofumpt would change anything
	@out=$$($(GOFUMPT) -l .); if [ -n "$$out" ]; then echo "not in gofumpt's form (make fmt):" >&2; echo "$$out" >&2; exit 1; fi

.PHONY: fmt
fmt: $(GOFUMPT) ## gofumpt, in place
	$(GOFUMPT) -w .

.PHONY: lint
lint: $(GOLANGCI) ## golangci-lint, and go vet in it
	$(GOLANGCI) run

.PHONY: modules
modules: ## whether go.mod and go.sum are whole and tidy
	go mod verify
	go mod tidy -diff

.PHONY: sabotage
sabotage: ## break each promise on purpose: a test must notice each
	go test ./internal/faultlab -run 'TestSabotage$$/($(SABOTAGE))' -sabotage -parallel 3 -v -timeout 10m

.PHONY: faults
faults: ## the fault lab at length: FAULTS (100000) random schedules of dialing and of cut transcripts
	go test ./internal/faultlab -timeout 0 -faults $(FAULTS) -schedules $(FAULTS)
	go test ./cmd/outdial -run 'Kill|Crash' -timeout 0 -kills 2000

.PHONY: build
build: ## bin/outdial, static
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.release=$(VERSION)' -o bin/outdial ./cmd/outdial

.PHONY: demo
demo: build ## a simulated call, from the order to its transcript
	bin/outdial demo

.PHONY: snapshots
snapshots: ## write the compared files anew, in every package whose tests take -update
	@{ grep -rl --include='*_test.go' --exclude-dir=node_modules --exclude-dir=archtest 'Bool("update"' . || true; } \
	| sed 's,/[^/]*$$,,' | sort -u | while read -r dir; do \
		(set -x; go test "$$dir" -update) </dev/null; \
	done

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (30s)
	@grep -rHo --include='*_test.go' --exclude-dir=node_modules '^func Fuzz[A-Za-z0-9_]*' . | sed 's/:func / /' | sort | while read -r file target; do \
		(set -x; go test "$$(dirname "$$file")" -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME)) </dev/null; \
	done

.PHONY: cover
cover: ## how much of the code the tests reach: the sum here, each line in dist/cover.html
	@mkdir -p dist
	go test -coverpkg=./... -coverprofile=dist/cover.out ./...
	go tool cover -html=dist/cover.out -o dist/cover.html
	@go tool cover -func=dist/cover.out | tail -n 1

.PHONY: release
release: ## the release VERSION in dist/: for each platform an archive and what is linked into it (SBOM), and SHA256SUMS
	@# A schema that users will have needs its file in the suite first: ledger/testdata/make.sh
	go test ./ledger -run ReleasedSchema -count=1 -released
	go run ./internal/release -version $(VERSION) -out dist

.PHONY: reproduce
reproduce: ## build the whole release twice, the second time from nothing, and compare each bit; takes minutes
	go test ./internal/release -count=1 -timeout 60m -v -whole

.PHONY: vuln
vuln: ## known vulnerabilities in what is linked; needs the open internet for their database, so not in CI
	@set -x; go run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) ./... || { \
		{ set +x; } 2>/dev/null; \
		echo "make vuln: vulnerabilities are named above; if not, NOTHING WAS CHECKED: it needs the module golang.org/x/vuln" >&2; \
		echo "with what it is made of, and the database at https://vuln.go.dev" >&2; \
		exit 1; \
	}

.PHONY: image
image: ## the container image outdial:VERSION
	docker build --build-arg VERSION=$(VERSION) -t outdial:$(VERSION) .

.PHONY: clean
clean: ## away with what was built and installed here
	rm -rf bin dist .tools internal/conformance/node_modules

$(GOFUMPT):
	GOBIN=$(abspath $(dir $@)) go install mvdan.cc/gofumpt@$(GOFUMPT_VERSION)

# It takes minutes to build: one of the same version that is installed already does.
$(GOLANGCI):
	@mkdir -p $(dir $@); \
	for have in "$$(command -v golangci-lint || true)" "$$(go env GOPATH)/bin/golangci-lint"; do \
		if [ -x "$$have" ] && [ "v$$("$$have" version --short)" = $(GOLANGCI_VERSION) ]; then ln -sf "$$have" $@; exit 0; fi; \
	done; \
	set -x; GOBIN=$(abspath $(dir $@)) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
