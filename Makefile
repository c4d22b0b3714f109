# Each target is a line or two; `make run` and `make test` need nothing but a Rust toolchain.
CARGO ?= cargo
RECIPE ?= recipes/quickstart.toml
PYTHON ?= python3
# The CUDA build has another set of features: it keeps a target folder of its own, so that neither build undoes the other.
CUDA = CUDARC_CUDA_VERSION=$${CUDARC_CUDA_VERSION:-13000} $(CARGO)
CUDA_FLAGS = --features cuda --target-dir target/cuda
# Burn's CUDA back end links LLVM; its build script unpacks it here, and downloads it when the folder is missing.
LLVM = $${XDG_DATA_HOME:-$$HOME/.local/share}/tracel/tracel-llvm-23.1.0-4/.tracel-llvm-installed

.PHONY: run test check lint lint-cuda schema golden cuda next bench bench-cuda docs

run: ## train the quickstart curriculum and report
	$(CARGO) run --release -- run $(RECIPE)

test: ## every test; no network beyond crates, no GPU
	$(CARGO) test --workspace

check: ## every shipped recipe at every scale and its tiny sibling, with a build that has no Burn in it
	$(CARGO) run --quiet --no-default-features --target-dir target/check -- check --every-scale recipes/*.toml
	$(CARGO) run --quiet --no-default-features --target-dir target/check -- check --every-scale --tiny --quiet recipes/*.toml

lint: ## formatting and lints of every feature set that builds here
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy --workspace --all-targets --no-default-features --target-dir target/check -- -D warnings
	@if [ -e "$(LLVM)" ]; then $(MAKE) --no-print-directory lint-cuda; else echo "lint: SKIPPED the cuda feature: no $(LLVM)"; fi

lint-cuda: ## lints of the CUDA feature (downloads LLVM where it is not there)
	$(CUDA) clippy --workspace --all-targets $(CUDA_FLAGS) -- -D warnings

schema: ## regenerate recipes/schema.json
	@mkdir -p target && $(CARGO) run --quiet --no-default-features --target-dir target/check -- schema > target/schema.json
	@mv target/schema.json recipes/schema.json

golden: ## regenerate the fixtures of tests/golden and find them unchanged; needs the packages of its requirements.lock.txt
	$(PYTHON) tests/golden/generate.py --check
	$(PYTHON) tests/golden/images.py --check && $(PYTHON) tests/golden/texts.py --check
	$(PYTHON) tests/golden/lora.py --check

cuda: ## the binary with the CUDA back end: target/cuda/release/curricle
	$(CUDA) build --release $(CUDA_FLAGS)

next: ## every test on the Burn of .ci/burn-0.23.patch, in a copy of what git knows; fetches that Burn
	rm -rf target/next/tree && git checkout-index --all --prefix=target/next/tree/
	cd target/next/tree && patch -p1 < .ci/burn-0.23.patch && $(CARGO) update -p burn --precise 0.23.0-pre.1
	cd target/next/tree && $(CARGO) test --workspace --target-dir ..

bench: ## curricle beside PyTorch, transformers and TRL (tests/bench/peers/requirements.lock.txt); ONLY="sft grpo": some parts
	PYTHON=$(PYTHON) $(CARGO) bench --bench bench -- $(ONLY)

bench-cuda: ## the parts that need a GPU
	PYTHON=$(PYTHON) $(CUDA) bench --bench bench $(CUDA_FLAGS) -- $(or $(ONLY),gpu)

docs: ## API documentation
	$(CARGO) doc --workspace --no-deps
