# make demo   three closed hosts, a real release, a prompt answered by Gemma on each (root; first time 10 to 15 min)
# make check  style, types and unit tests: some three minutes, for everyday work
# make test   everything: style, types, unit tests, and the whole way end to end on a lab of its own (root)
# make nightly  what is exhaustive: every single byte of what is signed, damaged, faults, alerts, rollouts and ways back on hosts (some hours)
# make bench  measures speed, memory and disk anew for docs/benchmarks.md (three quarters of an hour, 40 GB of disk)
# make clean  takes the demo's lab down and removes what was built in this checkout

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin

# What the control node and the lab need from Debian. g++ builds Ollama for the demo release.
DEBIAN_PACKAGES := ca-certificates debian-archive-keyring g++ git iproute2 mmdebstrap netcat-openbsd openssh-client \
                   python3-venv skopeo systemd systemd-container util-linux xz-utils zstd
# What only the tests need: clients, a browser, file systems, an HTTP server, and a real registry (Debian starts it where systemd
# runs; stop it if unwanted).
test nightly: DEBIAN_PACKAGES += apt-utils btrfs-progs busybox chromium chromium-driver curl docker-registry exfat-fuse exfatprogs jq \
                                   luajit ntfs-3g xfsprogs

# Headers that a newer Ollama is built with.
nightly: DEBIAN_PACKAGES += libstb-dev nlohmann-json3-dev

.PHONY: demo lint check test nightly bench debian-packages requirements clean
.DELETE_ON_ERROR:

demo: debian-packages .venv/installed
	@PATH="$(CURDIR)/$(BIN):$$PATH" demo/run.sh

lint: debian-packages .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint
	$(BIN)/pytest --numprocesses auto tests/unit

# The lab comes first, and by itself takes one of two processes: most of its time it waits, and the others' tests
# fill that.
test: lint
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m demo.ingredients build/ingredients
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m "not exhaustive" \
	    tests/lab tests/peers tests/unit

nightly: debian-packages .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -m exhaustive tests/peers tests/lab

bench: DEBIAN_PACKAGES += luajit wrk
bench: debian-packages .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m demo.ingredients build/ingredients
	$(BIN)/python -m bench --page docs/benchmarks.md
	$(BIN)/python -m bench.guard
	$(BIN)/python -m bench.gateway
	$(BIN)/python -m bench.status
	$(BIN)/python -m bench.fleet
	$(BIN)/python -m bench.against_ansible
	$(BIN)/python -m bench.first_apply
	$(BIN)/python -m bench.ship --page docs/benchmarks.md --plot docs/images/shipping.svg

debian-packages:
	@missing=$$(for p in $(DEBIAN_PACKAGES); do \
	    dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	    echo "Installing Debian packages:" $$missing; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	        apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

.venv/installed: requirements-dev.txt pyproject.toml
	@echo "Installing pinned Python packages into .venv"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --no-index -e .
	@touch $@

# After a change of dependencies in pyproject.toml: for every Python from 3.11 on, and no download host is named.
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url -q
requirements: .venv/installed
	$(BIN)/pip install --quiet uv
	$(COMPILE) --extra control -o requirements.txt
	$(COMPILE) --extra control --extra dev -o requirements-dev.txt

clean:
	[ ! -e .lab ] || $(BIN)/sealift lab down
	rm -rf build
