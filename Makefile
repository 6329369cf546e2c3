# What a developer runs. The logic is in the scripts; `make` alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup native programs cluster cluster-down images check unit e2e test demo demo-down bench-search bench-pipeline bench-step bench-trainer oracle

# Cargo needs libtorch and ONNX Runtime; `source e2e/env.sh` says the same to a shell.
HAIZEN_CACHE ?= $(HOME)/.cache/haizen
export HAIZEN_CACHE
export LIBTORCH := $(HAIZEN_CACHE)/native/libtorch-2.13.0
export ORT_DYLIB_PATH := $(HAIZEN_CACHE)/native/onnxruntime-1.32.0/libonnxruntime.so
export HAIZEN_MODELS := $(HAIZEN_CACHE)/models
export LD_LIBRARY_PATH := $(LIBTORCH)/lib$(if $(LD_LIBRARY_PATH),:$(LD_LIBRARY_PATH))

help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

setup: ## Install the Debian packages that are missing (needs root); starts no service
	@e2e/cluster/setup.sh

native: ## Fetch libtorch, ONNX Runtime and the test models into the cache folder
	@images/fetch-native.sh
	@images/fetch-models.sh

cluster: ## Bring up a cluster: HAIZEN_KUBECONFIG, else k3s, else Kubernetes built here
	@e2e/cluster/up.sh

cluster-down: ## Take away the cluster that `make cluster` brought up
	@e2e/cluster/down.sh

images: ## Build the images and bring them to the cluster
	@images/build.sh

check: native ## Formatting, lints, and the project's own rules
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --profile fast -- --deny warnings
	cargo run --quiet --profile fast -p xtask -- check
	shellcheck --external-sources --source-path=SCRIPTDIR:SCRIPTDIR/../e2e/cluster $$(find e2e/cluster images pipeline/benches trainer/benches trainer/oracle -name '*.sh' -perm -u+x)

# One selection of packages for tests and images: cargo then builds every dependency once.
programs: setup native ## Build every program and test
	@echo "building programs and tests (about 15 minutes the first time)"
	cargo build --profile fast --workspace --bins --tests

unit: programs ## The tests that need no cluster
	cargo test --profile fast --workspace --lib --bins --test permute

e2e: programs cluster images ## Stories on a real cluster
	cargo test --profile fast --workspace --test stories -- --test-threads=1

test: unit e2e ## Every test, the stories on a real cluster included

# ARGS: sections (hop, paced, ...), --runs N, --skip-long, --json FILE. The agent is measured where `programs` built it.
bench-pipeline: native ## Figures of the pipeline beside MediaPipe and GStreamer, as one table (about 30 minutes)
	@pipeline/benches/peers/setup.sh
	@pipeline/benches/peers/table.py $(ARGS)

demo: ## The whole line on a real cluster, live
	@e2e/demo.sh

demo-down: ## Remove what `make demo` installed; the cluster stays
	@e2e/demo.sh --down

# Tables of others' measurements, never committed; SEEDS=30 gives the figures of docs/performance.md.
NAS_TABLES ?= ../shared/bench/nas
SEEDS ?= 6
NAS_BENCH := cargo run --quiet --release -p search --bin nas-bench -- $(NAS_TABLES)

bench-search: ## Every search strategy and the latency model on tables of finished networks (NAS_TABLES, SEEDS)
	cargo build --release -p search --bin nas-bench
	$(NAS_BENCH) --table macro --strategy all --evaluations 50 --seeds $(SEEDS) --summary
	$(NAS_BENCH) --table nb201 --dataset all --strategy all --evaluations 50 --seeds $(SEEDS) --summary
	$(NAS_BENCH) --table nb201 --dataset all --strategy random,evolution --evaluations 100 --seeds $(SEEDS) --summary
	$(NAS_BENCH) --table nb201 --dataset all --strategy random,evolution --evaluations 200 --seeds 2 --pareto --summary
	$(NAS_BENCH) --table nb201 --latency-model --samples 10 --seeds $(SEEDS)
	$(NAS_BENCH) --table fbnet --latency-model --samples 10 --seeds $(SEEDS)

bench-step: native ## Our training step alone, MobileNetV2 of half width, batch 64: one line of JSON
	@cargo build --quiet --profile fast -p trainer --bin trainer
	@target/fast/trainer --threads 2 bench-step

bench-trainer: native ## The same step and PyTorch's in turns (4.7 GB of PyTorch into the cache folder, once)
	@cargo build --quiet --profile fast -p trainer --bin trainer
	@trainer/benches/against-pytorch.sh

oracle: ## PyTorch's losses and gradients that our tests compare with, computed again (4.7 GB of PyTorch, once)
	@trainer/oracle/generate.sh
