# Every target installs what it needs, and no more; PULSETRAIL_INSTALL=no has it name what is missing
# instead. See infra/engines/install.sh.
SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help engines tools test-tools dashboard dashboard-check run test demo bench soak lint build screenshots

# rustup puts cargo where only new shells look; a distribution's cargo may be older.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)

help: ## List the targets
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

engines: ## Install what building and the private engines need
	@bash infra/engines/install.sh run

tools:
	@bash infra/engines/install.sh build

test-tools:
	@bash infra/engines/install.sh test

dashboard: tools ## Build the web dashboard alone
	@bash projections/dashboard/build.sh

dashboard-check: tools
	@bash projections/dashboard/build.sh check

build: engines dashboard
	@cargo build --release

run: build ## Build and run everything on this machine
	@exec target/release/pulsetrail up

demo: build ## Run with sample targets and a signed-up user, on data of its own
	@exec target/release/pulsetrail up --demo

test: test-tools dashboard-check ## Run every test
	@cargo build -p chdb-server && exec cargo test --workspace

screenshots: test-tools dashboard-check ## Take pictures of every page of the dashboard
	@cargo build --workspace && exec bash projections/dashboard/screenshots.sh

bench: engines dashboard ## Measure (ONLY=name for one figure)
	@exec cargo bench --quiet --bench bench -- $(ONLY)

soak: test-tools dashboard-check ## Run the long fault, fuzz and browser runs
	@cargo build --release -p chdb-server && PULSETRAIL_SOAK=1 cargo test --workspace --release -- --skip hostile::
	@# By itself: it measures times.
	@PULSETRAIL_SOAK=1 cargo test --workspace --release --test e2e hostile::
	@bash probers/fuzz/run.sh 600

lint: tools dashboard-check ## Check format and lints
	@cargo fmt --all --check && exec cargo clippy --workspace --all-targets -- -D warnings
