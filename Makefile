# make help lists what there is.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
PROGRAM := ws-gateway/cmd/ws-gateway/program
LDFLAGS := -s -w -X $(PROGRAM).version=$(VERSION) -X $(PROGRAM).commit=$(COMMIT)

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
CHROMIUM    ?= /usr/bin/chromium
FIREFOX     ?= /usr/bin/firefox-esr
PEERS       := bench/peers
BROWSER     := e2e/browser
RACE        := bin/ws-gateway-race
CLIENT      := client
GENERATED   := e2e/clients
LINT        := .ci/lint
FUZZTIME    ?= 1m

##@ Use

.PHONY: run
run: ## Start the gateway with the demo app: a chat at http://localhost:8080
	go run ./cmd/ws-gateway demo $(ARGS)

.PHONY: build
build: ## Build bin/ws-gateway, and bin/ws-bench
	mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: dist
dist: | tools ## Build tarballs, Debian packages, the packed client, bills of materials and checksums into dist/
	@$(call need,dpkg-deb,dpkg)
	@$(call need,mandoc,mandoc)
	VERSION='$(VERSION)' COMMIT='$(COMMIT)' LDFLAGS='$(LDFLAGS)' deploy/package/dist.sh

.PHONY: size
size: ## List what the program consists of, by module
	@deploy/package/size.sh ./cmd/ws-gateway

.PHONY: client
client: | tools ## Pack the JavaScript client: dist/ws-gateway-client-*.tgz
	mkdir -p dist
	cd $(CLIENT) && npm pack --silent --pack-destination $(CURDIR)/dist

# What make bench measures, in this order. BENCH_<scenario> are further arguments of
# one of them.
BENCH     := idle echo roundtrip stuck ingest push fanout storm resume hub group soak
BENCH_storm = --rounds 3 --spread 0s
BENCH_hub   = --rounds 1 --sessions 100000,1000000
BENCH_soak  = --duration 70s
BENCH_roundtrip = --reply send,answer
BENCH_DIR := bin/bench

# One that fails keeps the others neither from running nor from the report.
.PHONY: bench
bench: build ## Measure all scenarios: a table, and a page with charts in bin/bench (minutes; ARGS="..." goes to each)
	rm -rf $(BENCH_DIR) && mkdir -p $(BENCH_DIR)
	@failed=""; \
	measure() { echo "measuring $$1"; \
	  bin/ws-bench "$$@" --gateway bin/ws-gateway --json $(BENCH_DIR)/$$1.jsonl $(ARGS) >/dev/null || failed+=" $$1"; }; \
	$(foreach scenario,$(BENCH),measure $(scenario) $(BENCH_$(scenario));) \
	bin/ws-bench report --html $(BENCH_DIR)/report.html $(BENCH_DIR)/*.jsonl; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

.PHONY: bench-compare
bench-compare: build ## Compare netpoll with its peers in one run, as ratios (20 minutes; ARGS="..." goes to ws-bench compare, ARGS=gateways compares the gateway with a bare one in C)
	bin/ws-bench compare $(ARGS)

.PHONY: abuse
abuse: build ## Measure what hostile clients do to good ones (2 minutes; ARGS="..." goes to ws-bench abuse)
	bin/ws-bench abuse --gateway bin/ws-gateway $(ARGS)

.PHONY: chaos
chaos: ## Prove that nothing is lost, reordered or invented while the app misbehaves (3 minutes; ARGS="..." goes to ws-bench chaos)
	go run ./cmd/ws-bench chaos $(ARGS)

.PHONY: chaos-cluster
chaos-cluster: ## Prove that three gateways as one lose, double and reorder nothing while the network and NATS fail (3 minutes; ARGS="..." goes to ws-bench chaos-cluster)
	go run ./cmd/ws-bench chaos-cluster $(ARGS)

##@ Check

# What has not changed is not tested again. The slowest begin first.
WITH_BINARY := ./e2e ./docs ./cmd/ws-bench
.PHONY: quick
quick: ## Format, vet and the quick tests, without a binary and the race detector (under 40 s)
	@$(unformatted)
	go vet ./...
	go test -short -vet off ./netpoll ./cmd/ws-gateway ./forward/callback ./hub $$(go list ./... | grep -vxF "$$(go list $(WITH_BINARY))")

.PHONY: test
test: test-go test-node ## All tests: Go with the race detector, npm's ws, a browser

# In these tests' processes the race detector has nothing to find, and would be most of
# their time: the gateways of e2e are programs, which have it; the others start no goroutine.
WITHOUT_DETECTOR := ./e2e ./cluster/stream ./cmd/ws-gateway/config

# Packages are tested in this order: the slowest begins first.
.PHONY: test-go
test-go: export WS_GATEWAY_BINARY = $(CURDIR)/$(RACE)
test-go: tools $(RACE) ## Go tests with the race detector
	go test -timeout 30m $(WITHOUT_DETECTOR)
	go test -race -timeout 30m ./docs $$(go list ./... | grep -vxF "$$(go list $(WITHOUT_DETECTOR))")
	cd $(PEERS) && go test -count 1 -timeout 30m ./...

.PHONY: test-node
test-node: export WS_GATEWAY_BINARY = $(CURDIR)/$(RACE)
test-node: export CHROMIUM := $(CHROMIUM)
test-node: chromium-tools $(RACE) ## The real binary with the npm package ws, the JavaScript client and headless Chromium
	cd $(BROWSER) && node --test --test-concurrency=3
	cd $(CLIENT) && npm test --silent

# A run of its own: what is tested is the client, which test-node has tested in Chromium.
.PHONY: test-firefox
test-firefox: export WS_GATEWAY_BINARY = $(CURDIR)/$(RACE)
test-firefox: export FIREFOX := $(FIREFOX)
test-firefox: browser-tools $(RACE) ## The JavaScript client in headless Firefox (half a minute; two where others keep the machine busy)
	cd $(CLIENT) && BROWSERS=firefox node --test test/gateway/browser.test.mjs

# The binary under test, with the race detector. go build knows what has changed.
.PHONY: $(RACE)
$(RACE):
	mkdir -p bin
	go build -race -o $@ ./cmd/ws-gateway

# Files of any name whose first line says that a shell runs them.
SHELL_SCRIPTS = git grep -nE '^\#! ?.*[/ ](ba|da)?sh( |$$)' | sed -n 's/^\([^:]*\):1:.*/\1/p'

define unformatted
files=$$(gofmt -l $$(git ls-files '*.go')); \
if [ -n "$$files" ]; then echo "not formatted, run make format:"; echo "$$files"; exit 1; fi
endef

.PHONY: check
check: $(LINT)/node_modules/.installed ## Format, vet and static checks of Go, shell scripts, JavaScript and the API's descriptions
	@$(call need,shellcheck,shellcheck)
	@$(unformatted)
	go mod tidy -diff
	go vet ./...
	go run $(STATICCHECK) ./...
	go vet -tags proxies ./deploy/proxies && go run $(STATICCHECK) -tags proxies ./deploy/proxies
	go vet -tags examples ./examples && go run $(STATICCHECK) -tags examples ./examples
	cd examples/go && go mod tidy -diff && go vet ./... && go run $(STATICCHECK) ./...
	cd $(PEERS) && go mod tidy -diff && go vet ./... && go run $(STATICCHECK) ./...
	$(SHELL_SCRIPTS) | xargs shellcheck -o check-unassigned-uppercase
	$(LINT)/node_modules/.bin/biome lint --error-on-warnings
	node $(LINT)/descriptions.mjs docs/openapi.yaml docs/asyncapi.yaml

# Beside make check: minutes for the first time, as the linter is built then.
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
.PHONY: lint
lint: ## Check the habits in .golangci.yml
	go run $(GOLANGCI) run ./...

.PHONY: bench-check
bench-check: build ## Count system calls, allocations and bytes for each message and connection; fail where a promise is broken
	bin/ws-bench check --gateway bin/ws-gateway $(ARGS)

BENCHSTAT     := golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
CORE_BASELINE := bench/baseline/core.txt
CORE_PACKAGES := ./jsoncheck ./netpoll ./netpoll/wire ./hub ./hub/wheel ./forward ./forward/callback ./admin/access ./admin/command
CORE          := ParseHead|Upgrade|DecodeHeader|AppendFrameHeader|NewFrame|Outbox|UTF8Feed|IsPing|AppendID|ParseID|WheelSet|WheelSecond|LeaveAndJoin|EncodeMessage|EncodeOpen|ValidJSON|PortableJSON|SchedulerPick|SchedulerWaiting|Lane|Signing|ParseSend|AccessRules
core           = go test -run '^$$' -bench '^Benchmark($(CORE))$$' -benchtime 100ms -count 6 -cpu 1 $(CORE_PACKAGES)

# Times compare on the baseline's own machine only; allocations everywhere.
.PHONY: bench-core
bench-core: ## Benchmarks of the pure cores, compared with the saved baseline (a minute)
	@mkdir -p bin
	$(core) >bin/core.txt || { cat bin/core.txt; exit 1; }
	@grep '^#' $(CORE_BASELINE)
	go run $(BENCHSTAT) -ignore cpu baseline=$(CORE_BASELINE) now=bin/core.txt

.PHONY: bench-core-save
bench-core-save: ## Save them as the new baseline
	@mkdir -p bin $(dir $(CORE_BASELINE))
	$(core) >bin/core.txt || { cat bin/core.txt; exit 1; }
	{ echo "# Recorded by make bench-core-save at commit $(COMMIT), $$(date -u +%F)"; \
	  echo "# on $$(nproc) processors of $$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), Linux $$(uname -r), $$(go env GOVERSION)"; \
	  grep -E '^(goos|goarch|pkg|cpu|Benchmark)' bin/core.txt; } >$(CORE_BASELINE)

.PHONY: check-metrics
check-metrics: build ## Check metrics and alerts with promtool
	@$(call need,promtool,prometheus)
	promtool check config deploy/prometheus/prometheus.yaml
	promtool check rules deploy/prometheus/alerts.yaml
	promtool test rules deploy/prometheus/alerts_test.yaml
	deploy/prometheus/scrape.sh bin/ws-gateway | promtool check metrics

.PHONY: check-memory
check-memory: ## Attack the memory of the gateway as the examples in deploy/ run it, at full size (a minute or two)
	WS_GATEWAY_FULL_ATTACKS=1 go test -count 1 -run OfAnyExample ./e2e

.PHONY: check-descriptions
check-descriptions: export WS_GATEWAY_BINARY = $(CURDIR)/bin/ws-gateway
check-descriptions: build $(GENERATED)/node_modules/.installed ## Generate clients from docs/openapi.yaml, in Go and TypeScript, and use them; OpenTelemetry as the app (a minute; longer for the first time)
	cd $(GENERATED) && mkdir -p api && go tool oapi-codegen -config oapi-codegen.yaml ../../docs/openapi.yaml
	cd $(GENERATED) && go mod tidy -diff && go vet ./... && go test -count 1 ./...
	cd $(GENERATED) && node_modules/.bin/openapi-typescript ../../docs/openapi.yaml -o api.d.ts && node_modules/.bin/tsc && node --test build/client.test.js

.PHONY: check-deploy
check-deploy: ## Check the Kubernetes and Compose examples against the types and the schema of their APIs
	cd deploy/tools && go vet ./... && go test -count 1 ./...

# nginx and the others are in /usr/sbin, which is not in everybody's PATH.
.PHONY: check-proxies
check-proxies: export PATH := $(PATH):/usr/sbin
check-proxies: ## Run the configurations of docs/proxies.md in front of the gateway, with 5,000 connections each
	@for tool in nginx:nginx-light haproxy:haproxy caddy:caddy apache2:apache2; do $(call need,$${tool%%:*},$${tool##*:}); done
	go test -race -tags proxies -count 1 -timeout 15m ./deploy/proxies

# What the frameworks of the examples are in, besides npm and Go.
EXAMPLES := python3-fastapi python3-uvicorn python3-httpx python3-itsdangerous python3-multipart python3-flask python3-django gunicorn \
  php-cli php-fpm php-apcu nginx-light ruby-sinatra puma

.PHONY: examples
examples: export WS_GATEWAY_BINARY = $(CURDIR)/$(RACE)
examples: export CHROMIUM := $(CHROMIUM)
examples: $(patsubst %,examples/%/node_modules/.installed,express fastify react) $(RACE) ## Run the examples of apps and pages with the real gateway (two minutes; longer for the first time)
	@$(call need,$(CHROMIUM),chromium)
	@if ! dpkg -s $(EXAMPLES) >/dev/null 2>&1; then $(call install,a framework,$(EXAMPLES)); fi
	go test -tags examples -count 1 -timeout 30m ./examples

.PHONY: format
format: ## Format the Go code
	gofmt -w $$(git ls-files '*.go')

# Inputs that are merely new are not minimised for long: that would be most of the
# minute. A crash does not keep the other targets from running. Where go test stumbles
# over the end of its own time, which is no crash, the target runs once more.
.PHONY: fuzz
fuzz: ## Fuzz each fuzz target for FUZZTIME (1m), and list them
	@done=""; failed=0; log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	for file in $$(git ls-files '*_test.go'); do \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' $$file); do \
	    dir=./$$(dirname $$file); result=ok; \
	    fuzz=(go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 50x $(FUZZFLAGS) $$dir); \
	    "$${fuzz[@]}" 2>&1 | tee $$log || { grep -qx ' *context deadline exceeded' $$log && "$${fuzz[@]}"; } || { result=FAILED; failed=1; }; \
	    done+=$$(printf '%-7s %s %s' $$result $$dir $$target)$$'\n'; \
	  done; \
	done; \
	printf '%s' "$$done"; \
	exit $$failed

.PHONY: readme
readme: export WS_GATEWAY_BINARY = $(CURDIR)/bin/ws-gateway
readme: build ## Write what is generated into README.md and docs/
	UPDATE_README=1 go test -count 1 -run '^Test(TheREADME|TheDocsHave|WhatWasMeasured|AFigure)' ./docs

##@ Other

# What the tests need besides Go. Packages are installed where this runs as root;
# elsewhere it says what is missing.
.PHONY: tools
tools: npm
	@for tool in python3:python3 php:php-cli curl:curl; do $(call need,$${tool%%:*},$${tool##*:}); done

.PHONY: npm
npm:
	@for tool in node:nodejs npm:npm; do $(call need,$${tool%%:*},$${tool##*:}); done

.PHONY: browser-tools
browser-tools: chromium-tools
	@$(call need,$(FIREFOX),firefox-esr)

.PHONY: chromium-tools
chromium-tools: tools $(BROWSER)/node_modules/.installed $(CLIENT)/node_modules/.installed
	@$(call need,$(CHROMIUM),chromium)

%/node_modules/.installed: %/package-lock.json | npm
	cd $* && npm ci --prefer-offline --no-audit --no-fund
	touch $@

# The package's service, if it has one, is not started: policy-rc.d forbids that.
POLICY := /usr/sbin/policy-rc.d

define need
if ! command -v $(1) >/dev/null; then $(call install,$(1),$(2)); fi
endef

define install
  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
    echo "installing $(2)"; \
    apt-get update -qq; \
    if [ -e $(POLICY) ]; then ours=; else ours=$(POLICY); printf '#!/bin/sh\nexit 101\n' >$(POLICY); chmod +x $(POLICY); fi; \
    installed=0; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(2) >/dev/null || installed=$$?; \
    [ -z "$$ours" ] || rm -f "$$ours"; \
    [ "$$installed" = 0 ] || exit "$$installed"; \
  else \
    echo "$(1) is missing: install the package $(2), which the tests need" >&2; exit 1; \
  fi
endef

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin dist examples/*/node_modules $(BROWSER)/node_modules $(CLIENT)/node_modules $(LINT)/node_modules $(GENERATED)/node_modules $(GENERATED)/api $(GENERATED)/api.d.ts $(GENERATED)/build

.PHONY: help
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
