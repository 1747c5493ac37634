# Each target sets up what it needs in .venv; the first run takes a few minutes, later ones start at once.
PYTHON ?= python3
BIN := .venv/bin
PROTOC := $(BIN)/python -m grpc_tools.protoc -Iprotos \
	--plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc
MICRO := $(BIN)/pytest bench/micro -q --benchmark-columns=min,median,iqr,ops --benchmark-group-by=func \
	--benchmark-sort=name --benchmark-name=short --benchmark-storage=bench-results/micro
PROTOS := $(wildcard protos/standpipe/v1/*.proto)

LANGUAGES := typescript web go java cpp ruby

.PHONY: demo serve test test-units test-servers clients conformance bench bench-baseline lint breaking protos

demo: .venv/demo.stamp ## a server, every RPC once, a short benchmark
	$(BIN)/standpipe-bench demo

serve: .venv/demo.stamp ## the demo models on 127.0.0.1:50051
	$(BIN)/standpipe serve

test: .venv/dev.stamp ## everything but timings
	$(BIN)/standpipe demo-models
	@$(MAKE) --jobs 2 --no-print-directory test-units test-servers

# They start no servers, and fill the time that the other tests wait.
test-units:
	nice $(BIN)/pytest tests/unit tests/backends > .venv/test-units.log 2>&1 || (cat .venv/test-units.log; exit 1)
	@echo "tests/unit, tests/backends: $$(tail -n 1 .venv/test-units.log)"

test-servers:
	$(BIN)/pytest --ignore tests/unit --ignore tests/backends

clients: $(LANGUAGES:%=client-%) ## typed clients in every language whose tools are here

client-%: .venv/conformance.stamp
	@missing="$$($(MAKE) --silent --no-print-directory -C client/$* missing)"; \
	if [ -n "$$missing" ]; then echo "client/$* skipped: $$missing"; \
	else $(MAKE) --no-print-directory -C client/$* BIN=$(abspath $(BIN)); fi

conformance: clients ## one table of cases for all of them, against the real server
	test -n "$$($(MAKE) --silent --no-print-directory -C client/typescript missing)" || (cd client/typescript && npm test --silent)
	$(BIN)/standpipe demo-models
	STANDPIPE_CONFORMANCE=all $(BIN)/pytest tests/conformance

bench: .venv/dev.stamp ## timings: micro-benchmarks, the bench itself, what serving costs and gains
	$(BIN)/standpipe demo-models
	$(MICRO) --benchmark-compare
	$(BIN)/standpipe-bench self-test --json bench-results/self-test.json
	$(BIN)/standpipe-bench overhead --json bench-results/overhead.json
	$(BIN)/standpipe-bench pipelines --json bench-results/pipelines.json
	$(BIN)/standpipe-bench generation --json bench-results/generation.json

bench-baseline: .venv/dev.stamp ## this machine's baseline for the micro-benchmarks of `make bench`
	$(BIN)/standpipe demo-models
	$(MICRO) --benchmark-save=baseline

lint: .venv/dev.stamp ## style, types, walls, protos
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint protos
	$(BIN)/buf format --diff --exit-code protos
	$(call generate,build/protos)
	diff --recursive --exclude=__pycache__ build/protos/standpipe/v1 client/python/standpipe/v1 # stale: make protos

AGAINST ?= .git\#branch=main,subdir=protos
breaking: .venv/dev.stamp ## whether the protos still fit those who were built with an older commit's
	$(BIN)/buf breaking protos --against '$(AGAINST)'

protos: .venv/dev.stamp ## Python messages and stubs from the protos
	$(BIN)/buf format --write protos
	$(call generate,client/python)

define generate
rm -rf $(1)/standpipe/v1
mkdir -p $(1)
$(PROTOC) --python_out=$(1) --grpc_python_out=$(1) --mypy_out=quiet:$(1) --mypy_grpc_out=quiet:$(1) $(PROTOS)
endef

# optimum-intel asks for torchvision, whose registry wheel is a CUDA build that can't be imported beside a torch
# without CUDA; nothing here needs it, so there it goes again.
.venv/%.stamp: pyproject.toml constraints.txt
	@echo "Installing into .venv (a few minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$*]'
	@$(BIN)/python -c 'import sys, torch; sys.exit(torch.version.cuda is None)' \
		|| $(BIN)/python -m pip uninstall --quiet --yes torchvision
	@touch $@
