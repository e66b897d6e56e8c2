# SPDX-License-Identifier: Apache-2.0
# libstbcam: the static library by cargo, the shared one linked from it. Included by the Makefile
# at the top, which runs from there.
#
# rust-lld ignores a second version script and GNU ld refuses one for a cdylib; so the shared
# library is linked here, with the symbols that the script names and no others.
#
# STBCAM_BUILD, STBCAM_OUT: how cargo builds it and where the library comes to lie; tests/targets.py names others.
# FEATURES: empty, or pcsc (readers behind PC/SC; needs Debian's libpcsclite-dev). After a change of it
# `make clean`.

CARGO          ?= cargo
CC             ?= cc
PREFIX         ?= /usr/local
STBCAM_VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml)
STBCAM_SONAME  := libstbcam.so.$(firstword $(subst ., ,$(STBCAM_VERSION)))
STBCAM_OUT     := target/release
STBCAM_BUILD   := --target-dir target --release
STBCAM_SYMBOLS := $(shell sed -n 's/^ *\(stbcam_[a-z_]*\);$$/\1/p' ffi/stbcam.map)
STBCAM_LIBS    := -lpthread -ldl -lm $(if $(filter pcsc,$(FEATURES)),-lpcsclite)
STBCAM_SOURCES := Cargo.toml Cargo.lock $(shell find cam-types iso7816 gp ecm-emm wallet cam-core stb-shim ffi \
                  \( -name '*.rs' -o -name Cargo.toml \) -not -path '*/tests/*')

.PHONY: library
library: $(STBCAM_OUT)/libstbcam.a $(STBCAM_OUT)/$(STBCAM_SONAME) $(STBCAM_OUT)/stbcam.pc

$(STBCAM_OUT)/libstbcam.a: $(STBCAM_SOURCES)
	$(CARGO) build -p stbcam-ffi $(STBCAM_BUILD) $(if $(FEATURES),--features "$(FEATURES)")
	@touch $@

$(STBCAM_OUT)/libstbcam.so.$(STBCAM_VERSION): $(STBCAM_OUT)/libstbcam.a ffi/stbcam.map
	$(CC) -shared -o $@ -Wl,-soname,$(STBCAM_SONAME) -Wl,--version-script=ffi/stbcam.map \
	    $(STBCAM_SYMBOLS:%=-Wl,-u,%) -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,-z,defs \
	    $(STBCAM_OUT)/libstbcam.a $(LDFLAGS) $(STBCAM_LIBS)

# The name that programs find at run time, and the one that -lstbcam finds.
$(STBCAM_OUT)/$(STBCAM_SONAME): $(STBCAM_OUT)/libstbcam.so.$(STBCAM_VERSION)
	ln -sf $(notdir $<) $@
	ln -sf $(@F) $(@D)/libstbcam.so

# Always made: it holds PREFIX, which make does not know to have changed.
.PHONY: $(STBCAM_OUT)/stbcam.pc
$(STBCAM_OUT)/stbcam.pc: ffi/stbcam.pc.in
	@mkdir -p $(@D)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(STBCAM_VERSION)|' -e 's|@LIBS@|$(strip $(STBCAM_LIBS))|' $< > $@
