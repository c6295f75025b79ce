# Compiler settings shared by every library of the project (the extension, output plugins, the test module).
# Included before PGXS; MERIDIAN_TOP is the top of the source tree, relative to the including Makefile.
#
# The version is read from meridian.control, the only place where it is written.

MERIDIAN_VERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(MERIDIAN_TOP)/meridian.control)

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)

PG_CPPFLAGS += -I$(MERIDIAN_TOP)/src -I$(shell $(PG_CONFIG) --includedir) -DMERIDIAN_VERSION='"$(MERIDIAN_VERSION)"'

# PostgreSQL 15's headers use `register`, which C++17 removed.
PG_CXXFLAGS += -std=c++20 -Wall -Wextra -Wno-register -fvisibility=hidden -fvisibility-inlines-hidden
# A merge calls some hundred functions of the server; each stub on the way would be one more line of instruction cache.
PG_CXXFLAGS += -fno-plt
# Headers are not tracked by PGXS unless the server was built with --enable-depend, and Debian's are not.
PG_CXXFLAGS += -MMD -MP
# make WERROR=1 turns warnings into errors, as CI does, and writes no more debug information than backtraces need: all of it
# takes a third of the compiler's time.
PG_CXXFLAGS += $(if $(WERROR),-Werror -g1)

# PGXS links with the C compiler.
SHLIB_LINK += -Wl,--version-script=$(MERIDIAN_TOP)/src/exports.map -lstdc++

# Nothing here is worth inlining into JIT-compiled queries, and PGXS gives clang none of the flags above.
override with_llvm = no
