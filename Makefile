EXTENSION = kinderconnect
EXTVERSION = $(shell sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" kinderconnect.control)

MODULE_big = kinderconnect
OBJS = \
	src/kinderconnect.o \
	src/settings.o \
	src/fault.o \
	src/secrets.o \
	src/http.o \
	src/format.o \
	src/dialect.o \
	src/encode.o \
	src/decode.o \
	src/call.o \
	src/engine.o

# The parts in the order of the night; each uses only those before it.
SQL = \
	sql/roles.sql \
	sql/wire.sql \
	sql/dialect.sql \
	sql/kinderbridge.sql \
	sql/endpoint.sql \
	sql/organization.sql \
	sql/engine.sql

PG_CPPFLAGS = -DKC_VERSION='"$(EXTVERSION)"' $(shell pkg-config --cflags libcurl)
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
SHLIB_LINK = $(shell pkg-config --libs libcurl)

DATA_built = kinderconnect--$(EXTVERSION).sql
EXTRA_CLEAN = kinderconnect--$(EXTVERSION).sql

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

kinderconnect--$(EXTVERSION).sql: $(SQL) kinderconnect.control Makefile
	( echo '\echo Use "CREATE EXTENSION kinderconnect" to load this file. \quit'; cat $(SQL) ) > $@
