# A thin cover over Meson: every target first installs what it needs (dist/setup.sh; root, where something is missing).
#
#   make              builds everything into build/
#   make demo         runs the tutorial with the real az, from nothing to accelerated virtual machines
#   make check        what CI runs: lint, warnings as errors, all tests, unit and API tests under ASan and UBSan
#   make check-all    the same, machines that move between two hosts, one with a VF, and with clang, under TSan, and in a Debian 13
#   make check-clients  what users do, with both az on a controller, and the tutorial as it stands on a whole cloud
#   make check-lab    SR-IOV on real kernels: a host with emulated Intel NICs, in QEMU
#   make bench-switch  measures the switch beside Open vSwitch and testpmd, as root: docs/PERFORMANCE.md (10 minutes)
#   make bench-api    measures the API with 1,000 machines and 200 clients, beside its libraries alone: docs/PERFORMANCE.md
#   make bench-revocation  measures what each step of taking and giving a VF is for, in the lab: docs/PERFORMANCE.md (20 minutes)
#   make soak         kills every part of a running cloud, at random and at every failpoint (about 20 minutes)
#   make fuzz         lets every fuzz target look for FUZZ_SECONDS (60 each) for what breaks it
#   make lint | format | install | clean | help
#
# What each test of the check targets printed is in build-check/test-logs.
MESON_FLAGS ?=
BENCH ?= # options of test/peers/bench.py, test/load/load, or test/lab/revocation.py
WERROR = -Dwerror=true
ASAN = $(WERROR) -Db_sanitize=address,undefined -Db_lundef=false
TSAN = $(WERROR) -Db_sanitize=thread -Db_lundef=false
RUN_TESTS = dist/run-tests.py --may-skip .ci/may-skip --log build-check/test-logs
WHOLE = net,vm@build-check # programs as users run them
CHECKS = dist/lint.sh unit,api@build-asan $(WHOLE)

# $(call build,FOLDER,FLAGS[,COMPILER[,TARGETS]]): configures a build folder once, then builds all of it, or the targets.
define build
	@mkdir -p $(1) && { [ -f $(1)/build.ninja ] || \
		$(if $(3),CC=$(3)) meson setup $(1) $(2) $(MESON_FLAGS) >$(1)/setup.log 2>&1 || { cat $(1)/setup.log; exit 1; }; }
	@echo "building $(1)"
	@ninja -C $(1) --quiet $(or $(4),all meson-test-prereq)
endef

.PHONY: help all check check-all check-clients check-lab bench-switch bench-api bench-revocation soak fuzz demo lint format install clean setup-check
all:
	@dist/setup.sh build
	$(call build,build)

help:
	@sed -n 's/^#   //p' Makefile

setup-check:
	@dist/setup.sh build run lint test

check: setup-check
	$(call build,build-check,$(WERROR),gcc,$$(dist/run-tests.py --needs $(WHOLE)))
	$(call build,build-asan,$(ASAN),gcc)
	@$(RUN_TESTS) $(CHECKS)

check-all: setup-check
	@dist/setup.sh clang debian13 lab
	$(call build,build-check,$(WERROR),gcc)
	$(call build,build-asan,$(ASAN),gcc)
	$(call build,build-clang,$(ASAN),clang)
	$(call build,build-tsan,$(TSAN),clang)
	@$(RUN_TESTS) $(CHECKS) migration@build-check unit,api@build-clang unit@build-tsan test/debian13.sh

check-clients: all
	@dist/setup.sh run test clients az245
	@$(RUN_TESTS) clients@build

check-lab: all
	@dist/setup.sh lab clients
	@$(RUN_TESTS) lab@build

bench-switch:
	@dist/setup.sh build bench
	$(call build,build-bench)
	@test/peers/bench.py --build build-bench $(BENCH)

bench-api:
	@dist/setup.sh build
	$(call build,build-bench)
	@test/api/cloud.py --controller build-bench/src/cmd/sluice-controller --sizes dist/catalog/sizes.json --hosts 4 --public-prefix 198.18.0.0/16 \
		build-bench/test/load/load --bench --clients 200 --machines 1000 $(BENCH)

bench-revocation: all
	@dist/setup.sh lab
	@test/lab/revocation.py build/src/cmd/sluice build/src/guest/sluice-guest /var/cache/sluice/lab $(BENCH)

soak: setup-check
	$(call build,build,)
	@$(RUN_TESTS) soak@build

fuzz:
	@dist/setup.sh build clang
	$(call build,build-fuzz,$(ASAN) -Dc_args=-fsanitize=fuzzer-no-link,clang,fuzzers)
	@test/fuzz/run.sh build-fuzz

demo:
	@dist/demo.sh

lint:
	@dist/setup.sh lint
	@dist/lint.sh

format:
	@dist/setup.sh lint
	@dist/lint.sh --fix

install: all
	meson install -C build

clean:
	rm -rf build build-check build-asan build-bench build-clang build-debian13 build-fuzz build-tsan
