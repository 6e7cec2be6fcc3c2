# Fleet. `make help` lists what can be asked for.
#
# One Makefile for the whole tree. The sources of a folder are found by wildcard; each folder of the
# plan becomes an archive, and a program or test is linked with the archives it may use and no others:
#
#   core/base  <-  reaper, fingerprints, proxies  <-  the rest of core  <-  browser
#
# Everything that is built goes to $(O)/$(BUILD)/, in the shape of the source tree. BUILD is one of
# release debug asan tsan cov fuzz; O is "build" unless given, so that several people (or a machine's
# several jobs) can build the same tree side by side. Where a target needs another BUILD than its own,
# it calls this same file again with that BUILD.

SHELL := /bin/bash
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDEXPANSION:
.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules --no-builtin-variables --no-print-directory
NPROC := $(shell nproc 2>/dev/null || echo 2)
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(NPROC)   # a -j of the command line goes before this one
endif

# ---- What is asked for -----------------------------------------------------------------------------

GOALS := $(or $(MAKECMDGOALS),all)
BUILDS := release debug asan tsan cov fuzz
BUILD ?= $(if $(filter fuzz-%,$(GOALS)),fuzz,$(if $(filter check check-% build-% tidy compdb soak nightly,$(GOALS)),debug,release))
O ?= build
B := $(O)/$(BUILD)
ifeq ($(filter $(BUILD),$(BUILDS)),)
$(error BUILD=$(BUILD): expected one of $(BUILDS))
endif
ifeq ($(CI),true)
WERROR ?= 1
STRICT ?= 1
endif
TEST_TIMEOUT ?= 120

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-6s %s\n' '$(1)' '$(2)';)
# Replaces $@ by $@.new only if they differ, so that nothing is built again for nothing.
keep = if cmp -s $@.new $@; then rm -f $@.new; else mv -f $@.new $@; fi

# ---- Compiler and flags ----------------------------------------------------------------------------

CC := $(if $(filter fuzz,$(BUILD)),clang,gcc)
HOSTCC ?= gcc
AR := ar
PKG_CONFIG ?= pkg-config
ifneq ($(shell command -v ccache 2>/dev/null),)
CCACHE := ccache
endif

WARNINGS := -Wall -Wextra -Wshadow -Wvla -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes \
	-Wconversion -Wcast-qual -Wundef $(if $(filter 1,$(WERROR)),-Werror)
LANGUAGE := -std=c17 -D_GNU_SOURCE -include core/base/banned.h

CFLAGS_release := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong \
	-fstack-clash-protection -fvisibility=hidden -ffunction-sections -fdata-sections
LDFLAGS_release := -Wl,-z,relro,-z,now -Wl,--gc-sections
CFLAGS_debug := -Og -g -fno-omit-frame-pointer -DFLEET_FAULTS
CFLAGS_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fno-sanitize-recover=all -DFLEET_FAULTS
LDFLAGS_asan := -fsanitize=address,undefined
CFLAGS_tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread -DFLEET_FAULTS
LDFLAGS_tsan := -fsanitize=thread
CFLAGS_cov := -O0 -g --coverage -DFLEET_FAULTS
LDFLAGS_cov := --coverage
CFLAGS_fuzz := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all -DFLEET_FAULTS
LDFLAGS_fuzz := -fsanitize=address,undefined

# Sanitizers and a static launcher that becomes init of a namespace do not go together: in those builds
# the launcher and the build tools are made from objects of their own, in $(B)/plain/.
SANITISED := $(filter asan tsan fuzz cov,$(BUILD))
CFLAGS_PLAIN := $(if $(SANITISED),$(CFLAGS_debug),$(CFLAGS_$(BUILD)))
PLAIN := $(if $(SANITISED),$(B)/plain,$(B))

# ---- Libraries, and the Debian package of each -----------------------------------------------------

# What each folder may use of what is not ours, besides what those below it use.
PKGS_base := libuv libcjson libsodium
PKGS_reaper := libseccomp
PKGS_fingerprints := sqlite3 libsodium
PKGS_proxies := openssl
PKGS_core := libcurl sqlite3 libpsl libwebsockets
PKGS_browser :=
PKGS_test := cmocka

DEB_libuv := libuv1-dev
DEB_libcjson := libcjson-dev
DEB_libsodium := libsodium-dev
DEB_libseccomp := libseccomp-dev
DEB_libcurl := libcurl4-openssl-dev
DEB_sqlite3 := libsqlite3-dev
DEB_libpsl := libpsl-dev
DEB_libwebsockets := libwebsockets-dev
DEB_openssl := libssl-dev
DEB_cmocka := libcmocka-dev

# `make deps` installs what is missing of these; "a|b": either will do.
DEPS_build := gcc libc6-dev make pkg-config git $(foreach p,$(PKGS_base) $(PKGS_reaper) $(PKGS_core) $(PKGS_browser),$(DEB_$(p))) \
	libwebsockets-evlib-uv
DEPS_browser := chromium-headless-shell|chromium fonts-dejavu-core tinyproxy microsocks
DEPS_test := $(DEB_cmocka) openssl redis-server squid chromium \
	nodejs npm procps curl
DEPS_lint := clang clang-format clang-tidy cppcheck universal-ctags bear
# Commands that do instead of a package, when they came from elsewhere.
DEPS_COMMANDS := gcc=gcc make=make git=git nodejs=node npm=npm pkg-config=pkg-config
DEPS ?= build browser test

ROOMS := base reaper fingerprints proxies core browser
CHAIN_base := base
CHAIN_reaper := reaper base
CHAIN_fingerprints := fingerprints base
CHAIN_proxies := proxies base
CHAIN_core := core fingerprints proxies reaper base
CHAIN_browser := browser $(CHAIN_core)

ifneq ($(filter-out clean help deps demo test dist format,$(GOALS)),)
$(foreach p,$(sort $(foreach r,$(ROOMS) test,$(PKGS_$(r)))),\
	$(if $(shell $(PKG_CONFIG) --exists $(p) 2>/dev/null && echo yes),\
		$(eval LIBS_$(p) := $(shell $(PKG_CONFIG) --libs $(p)))\
		$(eval PKG_CFLAGS += $(shell $(PKG_CONFIG) --cflags $(p))),\
		$(eval MISSING += $(p))))
endif
missing_in = $(filter $(MISSING),$(foreach r,$(CHAIN_$(1)) $(if $(filter test,$(1)),test),$(PKGS_$(r))))
libs_of = $(sort $(foreach r,$(CHAIN_$(1)),$(foreach p,$(PKGS_$(r)),$(LIBS_$(p))))) -lm -pthread

CFLAGS_ALL = $(LANGUAGE) -I. -I$(B)/gen $(PKG_CFLAGS) $(WARNINGS) -fPIC
LDFLAGS_ALL = -pie -Wl,--as-needed

# Named when something needs them and they are not there.
need-%:
	@missing='$(foreach p,$(call missing_in,$*),$(p) (Debian package $(DEB_$(p))))'; \
	if [ -n "$$missing" ]; then echo "missing for $*: $$missing; 'make deps' installs it" >&2; exit 1; fi

# ---- Sources ---------------------------------------------------------------------------------------

ALL_C := $(sort $(shell find core browser reaper fingerprints proxies tests -name '*.c' 2>/dev/null))
MAINS := core/main.c browser/main.c reaper/launcher.c
TOOLS := $(filter %gen.c,$(filter browser/cdp/%,$(ALL_C)))   # programs that run while building
LIB_C := $(filter-out $(MAINS) $(TOOLS) tests/%,$(ALL_C))
SRC_base := $(filter core/base/%,$(LIB_C))
SRC_core := $(filter-out core/base/%,$(filter core/%,$(LIB_C)))
SRC_reaper := $(filter reaper/%,$(LIB_C))
SRC_fingerprints := $(filter fingerprints/%,$(LIB_C))
SRC_proxies := $(filter proxies/%,$(LIB_C))
SRC_browser := $(filter browser/%,$(LIB_C))

# Generated sources: made in $(B)/gen/, which is an include directory, under the path they would have in
# the tree; listed here by that path. Headers go to GEN_H, which all objects wait for.
GEN_base := $(B)/gen/version.h
GEN_H := $(GEN_base)

obj = $(patsubst %.c,$(B)/%.o,$(1))
$(foreach r,$(ROOMS),$(eval OBJ_$(r) := $(call obj,$(SRC_$(r)))))
archives = $(foreach r,$(CHAIN_$(1)),$(B)/lib$(r).a)

# ---- all -------------------------------------------------------------------------------------------

WITH_BROWSER := $(if $(call missing_in,browser),,yes)
PROGRAMS := $(if $(wildcard browser/main.c),$(if $(WITH_BROWSER),$(B)/fleet)) \
	$(if $(wildcard core/main.c),$(B)/fleet-core) $(if $(wildcard reaper/launcher.c),$(B)/fleet-reaper)
LIBRARIES := $(if $(wildcard core/fleet.h),$(B)/libfleet.a $(B)/libfleet.so $(B)/fleet.pc)

.PHONY: all fleet fleet-core fleet-reaper
all: $(PROGRAMS) $(LIBRARIES)
ifeq ($(WITH_BROWSER),)
	@echo "fleet is not built here, as something of the browser add-on is missing:\
	$(foreach p,$(call missing_in,browser),$(p) (Debian package $(DEB_$(p)))); 'make deps' installs it" >&2
endif
fleet: need-browser $(B)/fleet
fleet-core: $(B)/fleet-core
fleet-reaper: $(B)/fleet-reaper

# ---- Compile, archive, link ------------------------------------------------------------------------

$(B)/gen/version.h: FORCE
	@mkdir -p $(@D); v=$$(GIT_OPTIONAL_LOCKS=0 git describe --tags --always --dirty 2>/dev/null || \
		cat VERSION 2>/dev/null || echo unknown); \
	printf '/* Generated by the Makefile. */\n#define FLEET_VERSION "%s"\n' "$$v" > $@.new; $(keep)

# Objects are made again when the flags are others.
$(B)/gen/flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(CFLAGS_ALL) $(CFLAGS_$(BUILD))' | sed 's/ -Werror//' > $@.new; $(keep)

compile = mkdir -p $(@D) && $(CCACHE) $(CC) $(CFLAGS_ALL) $(1) -MMD -MP -c -o $@ $<

$(B)/%.o: %.c $(B)/gen/flags | $(GEN_H)
	$(call say,CC,$<)$(call compile,$(CFLAGS_$(BUILD)) $(CFLAGS))
$(B)/%.o: $(B)/gen/%.c $(B)/gen/flags | $(GEN_H)
	$(call say,CC,$<)$(call compile,$(CFLAGS_$(BUILD)) $(CFLAGS))
$(B)/plain/%.o: %.c $(B)/gen/flags | $(GEN_H)
	$(call say,CC,$<)$(call compile,$(CFLAGS_debug) $(CFLAGS))

$(foreach r,$(ROOMS),$(eval $(OBJ_$(r)): | need-$(r)))
ifeq ($(PARTIAL),)
$(foreach r,$(ROOMS),$(eval $(B)/lib$(r).a: $(OBJ_$(r))))
$(B)/lib%.a:
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)
else
# PARTIAL=1: archives hold what compiles, so that a file that somebody is in the middle of stops only
# what needs it. For work in a busy tree, never for a build that counts.
$(B)/lib%.a: FORCE
	+@$(MAKE) -k PARTIAL= T= BUILD=$(BUILD) $(OBJ_$*) >$@.out 2>&1 || \
		grep -E '(error|warning):' $@.out | head -20 || true; \
	rm -f $@ && $(AR) rcs $@ $$(ls $(OBJ_$*) 2>/dev/null)
endif

link = mkdir -p $(@D) && $(CC) $(LDFLAGS_ALL) $(LDFLAGS_$(BUILD)) $(LDFLAGS) -o $@ $(filter %.o %.a,$^)

$(B)/fleet: $(B)/browser/main.o $(B)/embed_site.o $(B)/embed_assets.o $(call archives,browser)
	$(call say,LINK,$@)$(call link) $(call libs_of,browser)
$(B)/fleet-core: $(B)/core/main.o $(B)/embed_core.o $(call archives,core)
	$(call say,LINK,$@)$(call link) $(call libs_of,core)

# The launcher is static: it starts in empty mount namespaces, and nothing may be loaded into it. From
# the archives below it the linker takes only what it calls.
$(B)/fleet-reaper: $(PLAIN)/reaper/launcher.o $(PLAIN)/libreaper.a $(PLAIN)/libbase.a
	$(call say,LINK,$@)mkdir -p $(@D) && $(CC) -static -Wl,--gc-sections $(if $(SANITISED),,$(LDFLAGS_$(BUILD))) \
		-o $@ $(filter %.o %.a,$^)
ifneq ($(SANITISED),)
$(B)/plain/libreaper.a: $(patsubst %.c,$(B)/plain/%.o,$(SRC_reaper))
$(B)/plain/libbase.a: $(patsubst %.c,$(B)/plain/%.o,$(SRC_base))
$(B)/plain/lib%.a:
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)
endif

# ---- Embedded files --------------------------------------------------------------------------------
# A set of files becomes one object with a table, declared in core/base/embed.h. tests/support/embed
# writes a C file: an .incbin for each file's bytes, and the table. A new set takes a line here and two
# declarations there. embed_core and embed_assets define the same table, for different programs.

EMBED_FILES_site := $(sort $(shell find tests/site -type f ! -name '*.md' ! -name '*.c' ! -name '*.h' 2>/dev/null))
EMBED_FILES_core := $(sort $(shell find core/assets -type f ! -name '*.md' 2>/dev/null))
EMBED_FILES_assets := $(EMBED_FILES_core) $(sort $(shell find browser/assets -type f ! -name '*.md' 2>/dev/null))

embed = mkdir -p $(@D) && tests/support/embed $(1) '$(2)' $(3) > $@.new && { $(keep); }
$(B)/gen/embed_site.c: FORCE
	@$(call embed,embed_site,tests/site/,$(EMBED_FILES_site))
$(B)/gen/embed_core.c: FORCE
	@$(call embed,embed_assets,,$(EMBED_FILES_core))
$(B)/gen/embed_assets.c: FORCE
	@$(call embed,embed_assets,,$(EMBED_FILES_assets))
$(B)/embed_site.o: $(EMBED_FILES_site)
$(B)/embed_core.o: $(EMBED_FILES_core)
$(B)/embed_assets.o: $(EMBED_FILES_assets)
EMBED_OBJ_core := $(B)/embed_core.o
EMBED_OBJ_browser := $(B)/embed_site.o $(B)/embed_assets.o

# ---- Tests: what there is, and what each may link ---------------------------------------------------
# tests/unit/<folder>/ links the archives its folder may use. The other tests link core's, or where the
# test or a mate of it includes "browser/..." the browser's too. A mate is a .c whose header, below tests/,
# the test or another mate includes.

KINDS := unit model contract integration clients fault
TEST_C := $(filter tests/%,$(ALL_C))
TESTS := $(filter $(foreach k,$(KINDS),tests/$(k)/%),$(TEST_C))
TESTS := $(foreach t,$(TESTS),$(if $(filter test_%,$(notdir $(t))),$(t)))
ALL_TESTS := $(TESTS)
SCRIPTS := $(sort $(shell find $(foreach k,$(KINDS) lint,tests/$(k)) -name 'test_*.sh' -o -name 'test_*.mjs' 2>/dev/null))
FUZZ_C := $(filter tests/fuzz/fuzz_%,$(TEST_C))
BENCH_C := $(filter tests/bench/bench_%,$(TEST_C))
# "file:header" for each include of a header below tests/, and the files that include the browser.
TEST_INCLUDES := $(shell grep -rHoE --include='*.[ch]' '^\#include "tests/[^"]+\.h"' tests 2>/dev/null | sed 's/:.include "/:/; s/"$$//')
BROWSER_TESTS := $(shell grep -rlE --include='*.[ch]' '^\#include "browser/' tests 2>/dev/null)

included = $(foreach f,$(1),$(patsubst $(f):%,%,$(filter $(f):%,$(TEST_INCLUDES))))
with_included = $(sort $(1) $(foreach h,$(call included,$(1)),$(h) $(h:.h=.c)))
# Stem of a test ("tests/unit/base/test_str") -> all files below tests/ that go into it; three steps deep.
parts_of = $(call with_included,$(call with_included,$(call with_included,$(1).c)))
mates_of = $(call obj,$(filter-out $(1).c tests/support/testing.c,$(filter $(call parts_of,$(1)),$(TEST_C))))

# Stem of a test -> its room.
unit_folder = $(word 3,$(subst /, ,$(1)))
unit_room = $(or $(filter $(ROOMS),$(1)),$(if $(wildcard browser/$(1) browser/$(1).c),browser,core))
room_of = $(if $(filter tests/unit/%,$(1)),$(call unit_room,$(call unit_folder,$(1))),$(if $(filter $(call parts_of,$(1)),$(BROWSER_TESTS)),browser,core))
archives_of = $(call archives,$(call room_of,$(1)))
embed_of = $(EMBED_OBJ_$(call room_of,$(1)))

# Without T=, the thread sanitizer's build has only what has threads; the address sanitizer's has no
# integration tests with a browser, but for those named here, and none that runs itself inside a sandbox: the
# sanitizer's run time does not pass its filter.
ASAN_INTEGRATION :=
ASAN_WITHOUT := tests/integration/test_reaper_network.c tests/fault/test_page_soak.c
ifeq ($(T)$(BUILD),tsan)
TESTS := $(filter $(shell grep -rlE --include='*.c' 'base/(loop|work)\.h|pthread\.h|record/(audit|logdb)\.h' tests/unit),$(TESTS))
endif
ifeq ($(T)$(BUILD),asan)
TESTS := $(filter-out $(filter-out $(ASAN_INTEGRATION),$(foreach t,$(filter tests/integration/%,$(TESTS)),\
	$(if $(filter browser,$(call room_of,$(t:.c=))),$(t)))) $(ASAN_WITHOUT),$(TESTS))
endif

bins = $(patsubst %.c,$(B)/%,$(1))
TEST_BINS := $(call bins,$(TESTS))
$(call obj,$(TEST_C)): | need-test
$(B)/tests/support/testing.o: CFLAGS += -DTEST_SOURCE_ROOT='"$(CURDIR)"'

$(TEST_BINS): $(B)/%: $(B)/%.o $(B)/tests/support/testing.o $$(call mates_of,$$*) \
		$$(call embed_of,$$*) $$(call archives_of,$$*)
	$(call say,LINK,$@)$(call link) $(call libs_of,$(call room_of,$*)) $(LIBS_cmocka)

# Libraries that the fault tests preload into what they torment. Never with a sanitizer.
PRELOADS := $(patsubst %.c,$(B)/%.so,$(wildcard tests/fault/preload/*.c))
$(PRELOADS): $(B)/%.so: %.c
	$(call say,HOST,$@)mkdir -p $(@D) && $(HOSTCC) $(LANGUAGE) -I. $(WARNINGS) -O1 -g -fPIC -shared -o $@ $< -pthread

# The runner is made of nothing of ours, so that it works when nothing else does.
RUN := $(O)/host/run
RUNNER_C := $(wildcard tests/support/runner/*.c)
$(RUN): $(RUNNER_C) $(wildcard tests/support/runner/*.h)
	$(call say,HOST,$@)mkdir -p $(@D) && $(HOSTCC) -std=c17 -D_GNU_SOURCE -I. $(WARNINGS) -O1 -g -o $@ $(RUNNER_C)

# ---- Tests: running them ---------------------------------------------------------------------------
# T=... picks tests: a path from tests/ on ("unit/base/test_str"), or part of one. CASE=... picks cases
# in them. RESULTS is where the sums of this run go (see `test`); BUILT=1 runs what is there, and counts
# what is not as failed, instead of building first.

named = $(filter %/$(T) %/$(T).c %/$(T).sh %/$(T).mjs,$(1))
pick = $(strip $(if $(T),$(or $(call named,$(1)),$(foreach t,$(1),$(if $(findstring $(T),$(t)),$(t)))),$(1)))
of_kind = $(call pick,$(filter tests/$(1)/%,$(TESTS)))
# Scripts run what is built: under a sanitizer again only those with programs of ours to run.
scripts_of_kind = $(call pick,$(filter tests/$(1)/%,$(if $(SANITISED),$(filter-out tests/unit/%,$(SCRIPTS)),$(SCRIPTS))))

export FLEET_SOURCE := $(CURDIR)
export FLEET_BUILD := $(abspath $(B))
export FLEET_NPM := $(abspath $(O))/npm
export ASAN_OPTIONS ?= abort_on_error=1:detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS ?= print_stacktrace=1
export TSAN_OPTIONS ?= halt_on_error=1:abort_on_error=1:second_deadlock_stack=1
export LSAN_OPTIONS ?= report_objects=1
export FLEET_PKG_CFLAGS := $(PKG_CFLAGS)
export CASE TEST_TIMEOUT ROUNDS SEED

RESULTS ?= $(B)/results
# 1: name of the results, 2: how many at a time, 3: programs
run_tests = mkdir -p $(RESULTS) $(B)/log && $(RUN) -j $(2) -t $(TEST_TIMEOUT) $(if $(filter 1,$(STRICT)),-s) \
	-l $(B)/log -r $(RESULTS)/$(BUILD)-$(1) $(3)
none = $(if $(T),echo "no test in $(1) is called $(T)" >&2; exit 1,echo "  no tests in $(1)")

define SUITE
.PHONY: check-$(1) build-$(1)
BINS_$(1) := $$(call bins,$$(call of_kind,$(1)))
SCRIPTS_$(1) := $$(call scripts_of_kind,$(1))
build-$(1): $$(RUN) $$(BINS_$(1)) $(2)
check-$(1): $$(if $$(BUILT),$$(RUN),build-$(1))
	$$(Q)$$(if $$(BINS_$(1))$$(SCRIPTS_$(1)),$$(call run_tests,$(1),$(3),$$(abspath $$(BINS_$(1)) \
		$$(SCRIPTS_$(1)))),$$(call none,tests/$(1)))
endef
$(eval $(call SUITE,unit,,$(NPROC)))
$(eval $(call SUITE,model,,$(NPROC)))
$(eval $(call SUITE,contract,$$(PROGRAMS),1))
$(eval $(call SUITE,integration,$$(PROGRAMS),1))
$(eval $(call SUITE,fault,$$(PROGRAMS) $$(PRELOADS),1))
$(eval $(call SUITE,clients,$$(PROGRAMS) $$(if $$(wildcard tests/clients/*.mjs),$$(O)/npm/.done),1))
$(eval $(call SUITE,lint,$$(PROGRAMS),$(NPROC)))

# With T=, only the kinds that have such a test.
.PHONY: check build-check
CHECKS := $(foreach k,lint unit model contract integration clients fault,\
	$(if $(call of_kind,$(k))$(call scripts_of_kind,$(k)),check-$(k))) $(if $(call pick,$(FUZZ_C)),check-corpus)
build-check: $(CHECKS:check-%=build-%)
check: build-check
	$(Q)$(if $(strip $(CHECKS)),rm -rf $(RESULTS),echo "no test is called $(T)" >&2; exit 1)
	+$(Q)for kind in $(CHECKS); do echo "== $$kind"; $(MAKE) BUILD=$(BUILD) BUILT=1 $$kind || true; done
	$(Q)echo "== sum"; $(RUN) --sum $(RESULTS)/*

# Everything, also under the sanitizers: tests/support/stages. The last line is "N passed, N failed".
.PHONY: test
TEST_RESULTS := $(O)/results
test:
	+$(Q)$(MAKE) deps DEPS='build browser test'
	+$(Q)$(MAKE) $(RUN) && rm -rf $(TEST_RESULTS) && mkdir -p $(TEST_RESULTS)
	+$(Q)MAKE='$(MAKE)' tests/support/stages $(TEST_RESULTS)
	$(Q)$(RUN) --sum $(TEST_RESULTS)/* | tee $(O)/sum; exit $${PIPESTATUS[0]}

# The packages that tests/clients and tests/bench use. Nothing is downloaded but the packages: no browser.
# Where node is older than they want, one comes as a package too.
NODE_MAJOR := 20
NODE_PACKAGE := node-linux-$(if $(filter aarch64,$(shell uname -m)),arm64,x64)@22.20.0
export PATH := $(abspath $(O))/npm/bin:$(PATH)
$(O)/npm/.done: tests/package.json tests/package-lock.json tests/support/load.mjs
	$(call say,NPM,$(@D))mkdir -p $(@D)/bin && cp $^ $(@D)/ && cd $(@D) && \
		export PUPPETEER_SKIP_DOWNLOAD=1 PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 && \
		{ npm ci --legacy-peer-deps --ignore-scripts --no-audit --no-fund --loglevel=error >npm.log 2>&1 || \
			{ cat npm.log >&2; exit 1; }; } && \
		if [ "$$(node -p 'process.versions.node.split(".")[0]')" -lt $(NODE_MAJOR) ]; then \
			npm install --no-save --legacy-peer-deps --ignore-scripts --no-audit --no-fund \
				--loglevel=error $(NODE_PACKAGE) && \
			ln -sf ../node_modules/$(firstword $(subst @, ,$(NODE_PACKAGE)))/bin/node bin/node; \
		fi && touch $(@F)

# ---- Fuzzers ---------------------------------------------------------------------------------------
# tests/fuzz/fuzz_NAME.c with LLVMFuzzerTestOneInput; its seeds in tests/fuzz/corpus/NAME/, its
# dictionary in tests/fuzz/NAME.dict. `make fuzz-NAME SECONDS=60` searches (clang), new inputs go to
# $(B)/corpus/NAME; check-corpus replays the seeds, with any compiler.

SECONDS ?= 60
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ_C))
.PHONY: check-corpus build-corpus $(FUZZ_NAMES:%=fuzz-%)
$(call bins,$(FUZZ_C)): $(B)/%: $(B)/%.o $(if $(filter fuzz,$(BUILD)),,$(B)/tests/support/replay.o) $$(call mates_of,$$*) \
		$$(call embed_of,$$*) $$(call archives_of,$$*)
	$(call say,LINK,$@)$(call link) $(if $(filter fuzz,$(BUILD)),-fsanitize=fuzzer) $(call libs_of,$(call room_of,$*))
$(FUZZ_NAMES:%=fuzz-%): fuzz-%: $(B)/tests/fuzz/fuzz_%
	$(Q)mkdir -p $(B)/corpus/$* && $< -max_total_time=$(SECONDS) -timeout=10 -print_final_stats=1 \
		-artifact_prefix=$(B)/corpus/$*- $(if $(wildcard tests/fuzz/$*.dict),-dict=tests/fuzz/$*.dict) \
		$(B)/corpus/$* $(wildcard tests/fuzz/corpus/$*)

BINS_corpus := $(call bins,$(call pick,$(FUZZ_C)))
build-corpus: $(RUN) $(BINS_corpus)
check-corpus: $(RUN) $(if $(BUILT),,$(BINS_corpus))
	$(Q)$(if $(BINS_corpus),$(call run_tests,corpus,$(NPROC),$(abspath $(BINS_corpus))),$(call none,tests/fuzz))

# ---- Set-up and demonstration ----------------------------------------------------------------------

.PHONY: deps demo
deps:
	$(Q)DEPS_COMMANDS='$(DEPS_COMMANDS)' DEPS_PROGRAMS='gcc make git pkg-config' \
	DEPS_LIBRARIES='$(if $(filter build,$(DEPS)),$(foreach r,$(ROOMS),$(PKGS_$(r)))) $(if $(filter test,$(DEPS)),$(PKGS_test))' \
	tests/support/deps $(foreach g,$(DEPS),$(foreach p,$(DEPS_$(g)),'$(g):$(p)'))

demo:
	+$(Q)$(MAKE) deps DEPS='build browser'
	+$(Q)$(MAKE) BUILD=release all fleet
	$(Q)$(O)/release/fleet demo $(ARGS)

# ---- Measurements ----------------------------------------------------------------------------------

# tests/bench/bench_*.c are linked as integration tests are; tests/bench/run puts it all in a table.
.PHONY: bench soak cov
bench: need-browser $(PROGRAMS) $(call bins,$(BENCH_C)) $(if $(wildcard tests/bench/*.mjs),$(O)/npm/.done)
	$(Q)for b in $(call bins,$(BENCH_C)); do echo "== $$(basename $$b)"; $$b || exit 1; done
	$(Q)if [ -x tests/bench/run ]; then tests/bench/run $(ARGS); fi
$(call bins,$(BENCH_C)): $(B)/%: $(B)/%.o $(B)/tests/support/testing.o $$(call mates_of,$$*) $$(call embed_of,$$*) $$(call archives_of,$$*)
	$(call say,LINK,$@)$(call link) $(call libs_of,$(call room_of,$*)) $(LIBS_cmocka)

# 1,000 rounds of kill -9 (SOAK=), 100,000 pages (PAGES=), then the tests with real processes, again and
# again for SECONDS; stops
# at the first failure.
SOAK ?= 1000
PAGES ?= 100000
soak: build-integration build-fault
	+$(Q)FLEET_ROUNDS=$(SOAK) $(MAKE) BUILD=$(BUILD) BUILT=1 TEST_TIMEOUT=3600 check-fault T=fault/test_reap_
	$(Q)grep -h "rounds\|made to fail" $(B)/log/fault.test_reap_*.log
	+$(Q)SOAK_PAGES=$(PAGES) $(MAKE) BUILD=$(BUILD) BUILT=1 TEST_TIMEOUT=86400 check-fault T=fault/test_page_soak
	$(Q)grep -h "^soak\|recycled\|with a leak" $(B)/log/fault.test_page_soak.log
	+$(Q)end=$$(($$(date +%s) + $(SECONDS))); n=0; \
	while [ $$(date +%s) -lt $$end ]; do \
		$(MAKE) BUILD=$(BUILD) BUILT=1 check-integration check-fault -j1 || exit 1; \
		n=$$((n + 1)); echo "== soak: round $$n done"; \
	done

# The fault tests with many more rounds (kills, power cuts, damage); ROUNDS=n, SEED=n to see one again.
.PHONY: nightly
nightly:
	+$(Q)$(MAKE) BUILD=debug ROUNDS=$(or $(ROUNDS),200) TEST_TIMEOUT=3600 T= check-fault

# Lines of each file that the unit tests reach.
cov:
	+$(Q)$(MAKE) BUILD=cov check-unit
	$(Q)find $(O)/cov -name '*.gcda' ! -path '*/tests/*' | xargs -r gcov -n 2>/dev/null | \
		awk -F"[':% ]+" '/^File/ {f = $$2} /^Lines executed/ && f !~ /^\// {print $$3 "% of " $$5, f; f = "/"}' | sort -n

# ---- Checks of the source --------------------------------------------------------------------------

FORMATTED := $(shell find core browser reaper fingerprints proxies tests -name '*.[ch]' 2>/dev/null)
.PHONY: lint lint-format lint-cppcheck lint-longest tidy format compdb
lint: lint-format lint-cppcheck check-lint lint-longest
lint-format:
	$(Q)clang-format --dry-run -Werror $(FORMATTED)
# varFuncNullUB: NULL is a pointer in every libc that we build with.
lint-cppcheck:
	$(Q)cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		--suppress=missingIncludeSystem --suppress=varFuncNullUB -j$(NPROC) -D_GNU_SOURCE -DFLEET_FAULTS -I. $(LIB_C) $(wildcard $(MAINS))
lint-longest:
	$(Q)tests/lint/longest
format:
	$(Q)clang-format -i $(FORMATTED)
tidy: $(GEN_H)
	$(Q)printf '%s\n' $(LIB_C) $(wildcard $(MAINS)) | xargs -P$(NPROC) -I@ clang-tidy --quiet @ -- $(CFLAGS_ALL) -DFLEET_FAULTS
compdb:
	+$(Q)mkdir -p build && bear --output build/compile_commands.json -- \
		$(MAKE) -k O=$(O)/compdb BUILD=debug PARTIAL= CCACHE= -B all build-unit build-integration || \
		echo 'compdb: what does not compile is not in it' >&2

# ---- Library, installation, release -----------------------------------------------------------------

VERSION = $(shell sed -n 's/.*FLEET_VERSION "\(.*\)"/\1/p' $(B)/gen/version.h)
PREFIX ?= /usr/local
DEST = $(DESTDIR)$(PREFIX)
LIB_OBJ := $(foreach r,$(CHAIN_$(if $(WITH_BROWSER),browser,core)),$(OBJ_$(r))) $(EMBED_OBJ_$(if $(WITH_BROWSER),browser,core))
LIB_PKGS := $(foreach r,$(CHAIN_$(if $(WITH_BROWSER),browser,core)),$(PKGS_$(r)))

$(B)/libfleet.a: $(LIB_OBJ)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^
$(B)/libfleet.so: $(LIB_OBJ)
	$(call say,LINK,$@)$(CC) -shared -Wl,-soname,libfleet.so.0 -Wl,--as-needed -Wl,-z,defs $(LDFLAGS_$(BUILD)) $(LDFLAGS) \
		-o $@ $^ $(call libs_of,$(if $(WITH_BROWSER),browser,core))
$(B)/fleet.pc: $(B)/gen/version.h
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: fleet' \
		'Description: browser campaigns that can be proved' 'Version: $(VERSION)' \
		'Requires.private: $(LIB_PKGS)' 'Libs: -L$${libdir} -lfleet' \
		'Libs.private: -lm -pthread' 'Cflags: -I$${includedir}' > $@

.PHONY: install dist clean
install: all
	$(Q)install -d $(DEST)/bin && install -m 755 $(PROGRAMS) $(DEST)/bin/
	$(Q)$(if $(wildcard core/cli/*.1),install -d $(DEST)/share/man/man1 && install -m 644 $(wildcard core/cli/*.1) $(DEST)/share/man/man1/)
	$(Q)$(if $(LIBRARIES),install -d $(DEST)/lib/pkgconfig $(DEST)/include && install -m 644 core/fleet.h $(DEST)/include/ && \
		install -m 644 $(B)/libfleet.a $(DEST)/lib/ && install -m 755 $(B)/libfleet.so $(DEST)/lib/libfleet.so.0 && \
		ln -sf libfleet.so.0 $(DEST)/lib/libfleet.so && install -m 644 $(B)/fleet.pc $(DEST)/lib/pkgconfig/)

# A tarball of what is committed, with the version that git would tell.
dist: $(B)/gen/version.h
	$(Q)echo '$(VERSION)' > $(B)/gen/VERSION
	$(Q)git archive --format=tar.gz --prefix=fleet-$(VERSION)/ --add-file=$(B)/gen/VERSION \
		-o $(O)/fleet-$(VERSION).tar.gz HEAD && echo $(O)/fleet-$(VERSION).tar.gz

clean:
	$(Q)rm -rf $(O)

# ---- help ------------------------------------------------------------------------------------------

.PHONY: help
help:
	@printf '%s\n' \
	'make                    fleet, fleet-core and fleet-reaper, in build/release/' \
	'make demo               installs what is missing, builds, runs a campaign on this machine (ARGS=...)' \
	'make test               everything, also under the sanitizers; ends with "N passed, N failed"' \
	'make deps               installs missing Debian packages; DEPS="build browser test lint"' \
	'' \
	'make check              the tests of one build; also check-unit, -model, -contract, -integration,' \
	'                        -clients, -fault, -corpus, -lint' \
	'  T=unit/base/test_str  only these tests     CASE="test_split*"  only these cases' \
	'  PARTIAL=1             link what compiles, in a tree that others are working on' \
	'make fuzz-NAME          search with libFuzzer for SECONDS=60: $(FUZZ_NAMES)' \
	'make bench              the table of measurements (ARGS=...)' \
	'make soak               kill -9 at SOAK=1000 moments, PAGES=100000 pages; other tests for SECONDS' \
	'make nightly            the fault tests with ROUNDS=200' \
	'make cov                which lines the unit tests reach' \
	'' \
	'make lint               format, cppcheck, directions of includes, longest functions' \
	'make tidy               clang-tidy       make format   clang-format      make compdb   for editors' \
	'make install            DESTDIR=, PREFIX=/usr/local      make dist   tarball      make clean' \
	'' \
	'Variables: BUILD=release|debug|asan|tsan|cov|fuzz  O=build (output)  V=1 (show commands)  WERROR=1' \
	'  STRICT=1 (a skipped test has failed)  TEST_TIMEOUT=120 (seconds a test program may take)'

.PHONY: FORCE
FORCE:

-include $(shell find $(B) -name '*.d' 2>/dev/null)
