# Every target installs what it needs (`make engines`); see infra/engines/install.sh.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help engines tools run test demo bench soak lint build

# rustup puts cargo where only new shells look.
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin

help: ## List the targets
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

engines: ## Install what building and the private engines need
	@bash infra/engines/install.sh

tools:
	@bash infra/engines/install.sh tools

build: engines
	@cargo build --release

run: build ## Build and run everything on this machine
	@exec target/release/pulsetrail up

demo: build ## Run with sample targets and a signed-up user
	@exec target/release/pulsetrail up --demo

test: engines ## Run every test
	@cargo build -p chdb-server && exec cargo test --workspace

bench: engines ## Measure (ONLY=name for one figure)
	@exec cargo bench --quiet --bench bench -- $(ONLY)

soak: engines ## Run the long fault, fuzz and browser runs
	@cargo build --release -p chdb-server && PULSETRAIL_SOAK=1 cargo test --workspace --release
	@bash probers/fuzz/run.sh 600

lint: tools ## Check format and lints
	@cargo fmt --all --check && exec cargo clippy --workspace --all-targets -- -D warnings
