# Gatehouse. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
export CGO_ENABLED ?= 0

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
TOOL := go tool -modfile=tools/go.mod

.DEFAULT_GOAL := help
.PHONY: attack gallery survivors enumeration mutants crash traefik clients openapi help build install go run demo test deps check fmt unit race fuzz differential asvs bench bench-growth bench-nodes docs clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s $$'\t'

go:
	@scripts/need-go

build: go ## build bin/gatehouse
	@scripts/build '$(LDFLAGS)'

install: go ## install gatehouse where go install puts programs
	go install -ldflags '$(LDFLAGS)' ./cmd/gatehouse

run: build ## start Gatehouse on SQLite with a demo API behind it, and print lines to paste
	./bin/gatehouse demo

deps: ## install what the tests need (PostgreSQL, nginx, Chromium), where this machine allows it
	@scripts/test-deps

check: ## format, vet, linters, layers
	@scripts/check

unit: ## the tests without installing anything
	go test -count=1 ./...

race: ## the packages with concurrency under the race detector (needs a C compiler)
	@scripts/race

differential: ## a million spoiled tokens, judged by our verifier, go-jose and jwx (minutes)
	cd internal/oracles && ORACLE_TOKENS=$${ORACLE_TOKENS:-1000000} go test -count=1 -timeout 30m -v -run TestDifferential .

fuzz: ## every fuzzer for FUZZTIME each (default 30s)
	@scripts/fuzz $${FUZZTIME:-30s}

asvs: ## what is open of OWASP ASVS 5.0; docs/asvs.md has the rest
	@go run ./scripts/asvs -open

crash: ## a hundred kills on each database, a minute without one, and every other fault
	GATEHOUSE_TEST_LONG=1 go test -count=1 -v -timeout 60m ./faults

enumeration: ## a thousand guesses at names that exist and at names that do not, by their times (minutes; on a machine that does nothing else)
	GATEHOUSE_TEST_LONG=1 go test -count=1 -v -timeout 40m -run TestTimesTellNothing ./server

attack: ## two nodes on one PostgreSQL under nine attacks on sign-in, while people sign in: what comes of it, and whether it may (half an hour)
	GATEHOUSE_TEST_LONG=1 go test -count=1 -v -timeout 90m -run '^TestAttack$$' ./server

mutants: ## weaken the product line by line and see each weakening caught
	@scripts/mutants

survivors: ## weaken every operator of the packages that guard something, and count what their own tests let live (long)
	@go run ./scripts/survivors -v

traefik: ## deploy/traefik against Traefik itself, which is built first (minutes; not in make test)
	@scripts/test-traefik

gallery: ## pictures of every page in every state, for a phone and a desk, light and dark, into .cache/gallery
	@mkdir -p .cache/gallery
	GATEHOUSE_GALLERY=$(CURDIR)/.cache/gallery go test -count=1 -run '^TestLook$$' ./pages
	@echo "open .cache/gallery/index.html"

clients: ## read our tokens with the libraries of docs/clients.md, in five languages (minutes; not in make test)
	@scripts/test-clients

openapi: ## check the management API's document, and use the clients of four generators (minutes; not in make test)
	@scripts/test-openapi

bench: ## benchmarks: CPU time and allocations, floors beside ours
	@scripts/bench

bench-growth: ## how work grows with what is stored, each beside an empty store (minutes)
	@scripts/bench growth

bench-nodes: ## what several nodes on one PostgreSQL cost, beside one and beside SQLite (minutes)
	@scripts/bench nodes

test: go ## everything that CI runs: dependencies, checks, all tests, race detector, short fuzzing
	@scripts/test

clean: ## remove what was built
	rm -rf bin .cache
