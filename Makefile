# The commands of this repository. `make help` lists them; ARCHITECTURE.md says what is where.

SHELL := /bin/bash
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/skydive
# Outside the checkout: a clean checkout stays clean, and all checkouts share what was built.
export CARGO_TARGET_DIR ?= $(CACHE)/target
export PATH := $(PATH):$(HOME)/.cargo/bin

QUICK := $(CARGO_TARGET_DIR)/ci/skydive
ARGS ?=
FUZZ_SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help build run test release soak fuzz fmt lint generate perf

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

build:
	@command -v cargo >/dev/null || { echo "no cargo: install Rust first, https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "no C compiler: apt-get install gcc libc6-dev" >&2; exit 1; }
	@[ -x $(QUICK) ] || echo "building into $(CARGO_TARGET_DIR): some minutes the first time, seconds afterwards"
	cargo build --profile ci -p skydive

run: build ## build quickly and start an analyzer and an agent in one process; ARGS="…" adds arguments
	@[ "$$(id -u)" = 0 ] || echo "not root: shows what this user may see, and says what is missing"
	exec $(QUICK) allinone $(ARGS)

test: ## install what the tests need, then run every test (as root)
	scripts/setup-tests.sh
	scripts/vm-image.sh
	scripts/python-clients.sh >/dev/null
	scripts/python-clients.sh openapi >/dev/null
	cargo build --profile ci -p skydive
	SKYDIVE_BIN=$(QUICK) cargo test --profile ci --workspace

release: ## build the optimised binary
	cargo build --release -p skydive
	@ls -l $(CARGO_TARGET_DIR)/release/skydive

soak: ## the long runs: fuzzing for an hour a parser, the tests over and over; TARGET=name for one parser alone
	scripts/soak.sh $(TARGET)

fuzz: ## feed every parser of outside bytes for FUZZ_SECONDS each
	scripts/setup-tests.sh g++
	scripts/fuzz.sh $(FUZZ_SECONDS)

fmt: ## format the code
	cargo fmt --all

lint: ## what the compiler's friends and the house rules say
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo xtask tidy

generate: build ## write the pages that come from the code
	scripts/generate.sh docs

perf: ## run the benches beside their peers and write docs/performance.md
	scripts/setup-tests.sh softflowd nfdump
	cargo xtask perf
