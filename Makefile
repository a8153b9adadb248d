EXTENSION = kinderconnect
EXTVERSION = $(shell sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" kinderconnect.control)

MODULE_big = kinderconnect
OBJS = \
	src/kinderconnect.o \
	src/settings.o \
	src/version.o \
	src/fault.o \
	src/mask.o \
	src/secrets.o \
	src/curl_memory.o \
	src/http.o \
	src/format.o \
	src/dialect.o \
	src/encode.o \
	src/json.o \
	src/row.o \
	src/record.o \
	src/decode.o \
	src/attempt.o \
	src/token.o \
	src/organization.o \
	src/call.o \
	src/engine.o

# The parts in the order of the night; each uses only those before it.
SQL = \
	sql/roles.sql \
	sql/wire.sql \
	sql/dialect.sql \
	sql/kinderbridge.sql \
	sql/vendor-interface.sql \
	sql/endpoint.sql \
	sql/organization.sql \
	sql/engine.sql \
	sql/check_dialect.sql \
	sql/secrets.sql \
	sql/fold.sql \
	sql/manage.sql \
	sql/setup.sql \
	sql/run.sql \
	sql/stop.sql \
	sql/tell.sql \
	sql/lists.sql \
	sql/children.sql \
	sql/nickname.sql \
	sql/known.sql \
	sql/review.sql \
	sql/match.sql \
	sql/decide.sql \
	sql/rule.sql \
	sql/state_rules.sql \
	sql/zone.sql \
	sql/plan.sql \
	sql/due.sql \
	sql/bind.sql \
	sql/outbox.sql \
	sql/resolve.sql \
	sql/transfer.sql \
	sql/reconcile.sql \
	sql/purge.sql \
	sql/begin.sql \
	sql/work.sql \
	sql/guard.sql \
	sql/account.sql \
	sql/nightly.sql \
	sql/attendance.sql \
	sql/preview.sql \
	sql/schedule.sql \
	sql/progress.sql \
	sql/health.sql \
	sql/views.sql \
	sql/analyst.sql \
	sql/ageing.sql \
	sql/separation.sql \
	sql/grants.sql

# In this order: the first one creates the extension.
REGRESS = \
	install \
	privileges \
	settings \
	secrets \
	fold \
	setup \
	manage \
	lists \
	nickname \
	match \
	review \
	plan \
	transfer \
	attendance \
	engine \
	analyst \
	limits \
	due \
	health \
	dialect \
	api \
	hostile \
	connection \
	shrink \
	vendor

PG_CPPFLAGS = -DKC_VERSION='"$(EXTVERSION)"' $(shell pkg-config --cflags libcurl openssl)
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
SHLIB_LINK = $(shell pkg-config --libs libcurl openssl)

# Released versions stand in sql/release as they were released, and are not
# installed; the ways from each to the next in sql/upgrade are.
DATA = $(wildcard sql/upgrade/kinderconnect--*.sql)
DATA_built = kinderconnect--$(EXTVERSION).sql
EXTRA_CLEAN = kinderconnect--$(EXTVERSION).sql build test/fuzz/build test/fuzz/found test/results test/regression.diffs test/regression.out

# pg_regress 15 would take a part of the extension in ./sql for a test.
REGRESS_OPTS = --inputdir=test --outputdir=test

# Nothing of ours is ever inlined into a query.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))

ifneq ($(PGXS),)
include $(PGXS)

$(OBJS): $(wildcard src/*.h) kinderconnect.control

kinderconnect--$(EXTVERSION).sql: $(SQL) kinderconnect.control Makefile
	( printf '%s\n' '\echo Use "CREATE EXTENSION kinderconnect" to load this file. \quit'; cat $(SQL) ) > $@

# The analyzer of the compiler that the server's bitcode is made with
ANALYZED = $(OBJS:.o=.analyzed)
$(ANALYZED): %.analyzed: %.c
	@$(CLANG) --analyze --analyzer-output text -Xclang -analyzer-werror -Wno-unknown-warning-option $(CPPFLAGS) -o /dev/null $<
analyze: $(ANALYZED)

# gcc's own, and every warning an error; it says nothing of gcc 12
analyze-gcc: $(OBJS:.o=.analyzed-gcc)
%.analyzed-gcc: %.c
	@gcc $(CPPFLAGS) $(PG_CFLAGS) -O2 -fanalyzer -Werror -c -o /dev/null $<

# Keeps the version that the control file names as it is from now on
release: kinderconnect--$(EXTVERSION).sql
	@test ! -e sql/release/$< || { echo "$< has been released: name the next version in kinderconnect.control" >&2; exit 1; }
	mkdir -p sql/release sql/upgrade
	cp $< sql/release/
	cd sql/release && sha256sum $< >> SHA256SUMS

# The tests talk to a simulator; installcheck starts one for itself.
pg_regress_installcheck := . test/lib/installcheck-simulator.sh && $(pg_regress_installcheck)
else
all install uninstall installcheck installdirs clean analyze analyze-gcc release:
	@echo "$(PG_CONFIG) is not there, or not that of a server that extensions can be built for." >&2
	@echo "Install postgresql-server-dev-NN or set PG_CONFIG; 'make packages' does it on Debian." >&2
	@false
endif

# From a fresh clone, as root or with sudo; no existing cluster is touched.
packages test matrix soak demo bench bench-match fuzz: export PG_CONFIG := $(PG_CONFIG)

packages:
	@bash test/lib/prepare packages

test:
	@bash test/lib/prepare
	@bash test/run

# The same on each PostgreSQL and Debian that is supported, or on VERSIONS
matrix: export FRESH := $(FRESH)
matrix:
	@bash test/matrix $(VERSIONS)

# Faults, edits and nights from a seed; one of its own is drawn and printed
ROUNDS ?= 200
SEED ?= $(shell date +%s)
soak:
	@bash test/lib/prepare
	@bash test/soak $(ROUNDS) $(SEED)

# The core fed by libFuzzer, in a backend: test/fuzz/README.md
RUNS ?= 1000000
TIME ?= 0
fuzz:
	@bash test/lib/prepare
	@bash test/fuzz/run "$(TARGET)" $(RUNS) $(TIME)

demo: export KEEP := $(KEEP)
demo:
	@bash test/lib/prepare
	@bash demo/run

# All benchmarks, or GOAL=n; SCALE=0.1 makes each a tenth
bench: export SCALE := $(or $(SCALE),1)
bench:
	@bash test/lib/prepare
	@bash bench/run $(GOAL)

# How well children are matched, on a benchmark set: DATA=file
bench-match: export DATA := $(DATA)
bench-match:
	@bash test/lib/prepare
	@bash bench/match

.PHONY: all install uninstall installcheck clean analyze analyze-gcc release packages test matrix soak demo bench bench-match fuzz
