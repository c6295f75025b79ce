# Builds the extension `meridian` (PGXS) and the output plugins under src/plugin.
#
#   make && make install && make installcheck      against the server that PG_CONFIG names
#   make check         build, install and run every test on a temporary cluster of this machine's PostgreSQL
#   make check-matrix  the same on PostgreSQL 17 and 18, each in a Debian of its own
#   make demo          two regions on this machine, and a story told with them
#   make WITHOUT_SINK=1  all but the program meridian-sink, which needs librdkafka, hiredis and libcurl
#   make check-sinks   a sink killed 50 times in 100,000 changes
#   make bench         what Meridian costs, as ratios to stock PostgreSQL, a plpgsql trigger and pglogical
#
# installcheck needs a running server with shared_preload_libraries = 'meridian', as CONTRIBUTING.md describes.
# Objects belong to one server version: `make clean` before another PG_CONFIG.

# These install what they need first, so they must work where pg_config does not exist yet: no PGXS for them.
SCRIPT_GOALS := check check-matrix check-sinks demo bench
ifneq (,$(filter $(SCRIPT_GOALS),$(MAKECMDGOALS)))
ifneq (,$(filter-out $(SCRIPT_GOALS),$(MAKECMDGOALS)))
$(error run "make $(filter $(SCRIPT_GOALS),$(MAKECMDGOALS))" by itself)
endif

.PHONY: $(SCRIPT_GOALS)
check:
	tools/check.sh
check-matrix:
	tools/check-matrix.sh
check-sinks:
	SINK_KILLS=50 SINK_CHANGES=100000 PROVE_TESTS=test/t/096_sink_kills.pl tools/check.sh tap
demo:
	demo/run.sh
bench:
	bench/run.sh

else

MERIDIAN_TOP := .
include src/module.mk

MODULE_big = meridian
EXTENSION = meridian
OBJS = $(patsubst %.cpp,%.o,$(sort $(wildcard src/core/*.cpp src/pg/*.cpp src/pg/*/*.cpp)))
SHLIB_LINK += -L$(shell $(PG_CONFIG) --libdir) -lpq

INSTALL_SQL = meridian--$(MERIDIAN_VERSION).sql
SQL_FRAGMENTS = $(sort $(wildcard sql/[0-9][0-9]_*.sql))
DATA_built = $(INSTALL_SQL)
DATA = $(wildcard sql/upgrade/*.sql)

# Inputs live in test/, expected outputs of both kinds in expected/; results go to results/. Isolation specs run in the
# same database, because a server has one replicated database (meridian.database).
REGRESS = $(basename $(notdir $(sort $(wildcard test/sql/*.sql))))
REGRESS_OPTS = --inputdir=test --load-extension=meridian
ISOLATION = $(basename $(notdir $(sort $(wildcard test/specs/*.spec))))
ISOLATION_OPTS = --inputdir=test --outputdir=. --load-extension=meridian --use-existing
ifneq (,$(wildcard test/t/*.pl))
TAP_TESTS = 1
PROVE_TESTS ?= test/t/*.pl
endif
# PostgreSQL's headers take four fifths of the time of compiling a file: they are compiled once, and put before each.
PRECOMPILED = src/pg/support/postgres.hpp
EXTRA_CLEAN = $(OBJS:.o=.d) $(wildcard meridian--*.sql) $(PRECOMPILED).gch

# Without tests of a kind PGXS wants its variable undefined, not empty.
ifeq (,$(REGRESS))
undefine REGRESS
else
REGRESS_PREP = drop-test-database
endif
ifeq (,$(ISOLATION))
undefine ISOLATION
endif

include $(PGXS)

ISOLATION_TESTDB = $(CONTRIB_TESTDB)

$(OBJS): $(MERIDIAN_TOP)/src/module.mk
$(filter src/pg/%,$(OBJS)): $(PRECOMPILED).gch
$(filter src/pg/%,$(OBJS)): private override CXXFLAGS += -include $(PRECOMPILED) -Winvalid-pch
$(PRECOMPILED).gch: $(PRECOMPILED) $(MERIDIAN_TOP)/src/module.mk
	$(CXX) $(CXXFLAGS) $(CPPFLAGS) -w -x c++-header -o $@ $<  # no warning of "#pragma once in main file"
$(shlib): $(MERIDIAN_TOP)/src/exports.map
-include $(OBJS:.o=.d)

# The folder is a prerequisite for the day a fragment is added or removed.
$(INSTALL_SQL): $(SQL_FRAGMENTS) sql meridian.control
	{ printf '%s\n' '\echo Use "CREATE EXTENSION meridian" to load this file. \quit'; cat /dev/null $(SQL_FRAGMENTS); } > $@.tmp
	mv $@.tmp $@

# pg_regress drops the database of the last run, and cannot while a worker of ours is connected to it.
.PHONY: drop-test-database
drop-test-database:
	'$(bindir)/psql' -X -q -d postgres -c 'SET client_min_messages = warning' \
	  -c 'DROP DATABASE IF EXISTS $(CONTRIB_TESTDB) WITH (FORCE)'

# Programs of the TAP tests.
.PHONY: test-clients
test-clients:
	$(MAKE) -C test/clients PG_CONFIG='$(PG_CONFIG)'
installcheck: test-clients

# The plugins share objects with the extension, so they come after it even under make -j.
.PHONY: plugins
plugins: all-lib
	$(MAKE) -C src/plugin PG_CONFIG='$(PG_CONFIG)' all
all: plugins

# The program that delivers to sinks, the one part that needs more libraries: make WITHOUT_SINK=1 leaves it out.
.PHONY: sink
sink:
	$(MAKE) -C src/sink PG_CONFIG='$(PG_CONFIG)' $(if $(WERROR),WERROR=1) all
ifndef WITHOUT_SINK
all: sink
install: install-sink
endif

install: install-plugins
.PHONY: install-plugins
install-plugins: plugins
	$(MAKE) -C src/plugin PG_CONFIG='$(PG_CONFIG)' install
.PHONY: install-sink
install-sink: sink
	$(MAKE) -C src/sink PG_CONFIG='$(PG_CONFIG)' install

uninstall: uninstall-plugins uninstall-sink
.PHONY: uninstall-plugins
uninstall-plugins:
	$(MAKE) -C src/plugin PG_CONFIG='$(PG_CONFIG)' uninstall
.PHONY: uninstall-sink
uninstall-sink:
	$(MAKE) -C src/sink PG_CONFIG='$(PG_CONFIG)' uninstall

clean: clean-plugins clean-sink clean-test-clients
.PHONY: clean-sink
clean-sink:
	$(MAKE) -C src/sink clean
.PHONY: clean-test-clients
clean-test-clients:
	$(MAKE) -C test/clients clean
.PHONY: clean-plugins
clean-plugins:
	$(MAKE) -C src/plugin PG_CONFIG='$(PG_CONFIG)' clean

endif
