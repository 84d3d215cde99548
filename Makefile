# Everything a person runs. On a fresh Debian 12 machine with Swift 6.3: `make demo`, `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Libraries that Fletch is linked with, then what generates, tests and measures it.
DEBIAN_PACKAGES := pkg-config libnghttp2-dev libprotobuf-c-dev libuv1-dev libopenblas-pthread-dev libxxhash-dev \
	libzstd-dev zlib1g-dev libssl-dev openssl protobuf-compiler grpc-proto python3 python3-venv nghttp2-client ruby-grpc
PYTHON := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Backtraces of the Swift runtime take minutes under the sanitizers, which print their own.
export SWIFT_BACKTRACE := enable=no
FUZZ_SECONDS ?= 60
CHAOS_SECONDS ?= 60
DIFFERENTIAL_SCHEMAS ?= 20
DIFFERENTIAL_MESSAGES ?= 20
# What everyone's `make test` runs is the same; other seeds find more.
DIFFERENTIAL_SEED ?= 1

.PHONY: help setup packages build demo test test-unit test-sanitizers test-chaos test-fuzz test-differential test-end-to-end lint generate check-generated release-schemas bench format clean

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: packages .venv/.installed ## Install the Debian packages and the Python environment that are missing.

packages:
	@deploy/setup.sh $(DEBIAN_PACKAGES)

.venv/.installed: Tests/EndToEnd/requirements.txt | packages
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r Tests/EndToEnd/requirements.txt
	touch $@

build: setup ## Build the optimised command: .build/release/fletch.
	swift build -c release --product fletch

demo: build ## Learn from this machine's own package archive, publish, serve, ask.
	deploy/demo/run.sh

test: lint check-generated test-unit test-differential test-sanitizers test-chaos test-fuzz test-end-to-end ## Pass all tests.

lint: setup ## Check the schemas' style, that they keep what was released, and the sources' style.
	cd proto && buf lint && buf breaking --against baseline.txtpb
	swift format lint --strict --recursive --parallel $$(git ls-files '*.swift' | grep -vE '\.(fletch|pb)\.')

test-unit: setup ## The Swift tests.
	swift test --disable-xctest

test-sanitizers: setup ## Wire, protocol and table tests under the address and thread sanitizers.
	swift test --disable-xctest --sanitize=address --scratch-path .build-asan --filter '$(SANITIZED)'
	swift test --disable-xctest --sanitize=thread --scratch-path .build-tsan --filter '$(SANITIZED)'
SANITIZED := WireTests|JSONTests|HTTP2Tests|TLSTests|CompressionTests|RPCTests|ServerTests|ClientTests|ServicesTests|StandardServicesTests|InterceptorsTests|TablesTests|RetrievalTests

test-chaos: setup ## Bad clients of every kind for CHAOS_SECONDS, under the address and thread sanitizers.
	swift build --sanitize=address --scratch-path .build-asan --product fletch-interop-server
	swift build --sanitize=thread --scratch-path .build-tsan --product fletch-interop-server
	FLETCH_INTEROP_SERVER=.build-asan/debug/fletch-interop-server $(PYTHON) Tests/EndToEnd/chaos.py --seconds $(CHAOS_SECONDS)
	FLETCH_INTEROP_SERVER=.build-tsan/debug/fletch-interop-server $(PYTHON) Tests/EndToEnd/chaos.py --seconds $(CHAOS_SECONDS)

test-fuzz: setup ## Each fuzz target for FUZZ_SECONDS.
	Tests/Fuzz/run.sh $(FUZZ_SECONDS)

test-differential: setup ## Random schemas and messages through Fletch, upb and swift-protobuf: all must agree.
	swift build --product protoc-gen-fletch
	$(PYTHON) -m pytest --rootdir=. Tests/Differential
	$(PYTHON) Tests/Differential/differential.py --schemas $(DIFFERENTIAL_SCHEMAS) --messages $(DIFFERENTIAL_MESSAGES) \
		--seed $(DIFFERENTIAL_SEED) $(if $(DIFFERENTIAL_ONLY),--only $(DIFFERENTIAL_ONLY))

test-end-to-end: build ## A real server process, stock clients, real tables.
	swift build -c release --product fletch-interop-server
	swift build -c release --product conformance-testee
	swift build -c release --product fletch-interop-client
	swift build -c release --product protoc-gen-fletch
	$(PYTHON) -m pytest --rootdir=. --durations=10 Tests/EndToEnd clients/python/tests

generate: setup ## Regenerate all generated code.
	codegen/generate.sh
	clients/python/generate.sh

check-generated: setup ## Fail where generated code differs from what its schema gives.
	codegen/generate.sh --check
	clients/python/generate.sh --check

release-schemas: setup ## Take the schemas as they are for released: what later ones must keep.
	cd proto && buf lint && buf breaking --against baseline.txtpb
	cd proto && buf build --path fletch --exclude-source-info -o baseline.txtpb

bench: build ## CPU per request beside other servers (see Benchmarks/README.md).
	Benchmarks/run.sh

format: ## Format the Swift sources in place.
	swift format --in-place --recursive --parallel $$(git ls-files '*.swift' | grep -vE '\.(fletch|pb)\.')

clean: ## Remove what was built, not what was learned.
	rm -rf .build .build-* .venv
