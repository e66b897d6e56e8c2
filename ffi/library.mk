# SPDX-License-Identifier: Apache-2.0
# libstbcam: the static library by cargo, the shared one linked from it. Included by the Makefile
# at the top, which runs from there.
#
# rust-lld ignores a second version script and GNU ld refuses one for a cdylib; so the shared
# library is linked here, with the symbols that the script names and no others.
#
# CARGO_BUILD_TARGET: another processor's triple, as cargo reads it; CC is then that processor's compiler.
# STBCAM_BUILD, STBCAM_OUT: how cargo builds it and where the library comes to lie; tests/targets.py names others.
# FEATURES: empty, or pcsc (readers behind PC/SC; needs Debian's libpcsclite-dev). After a change of it
# `make clean`.

CARGO          ?= cargo
CC             ?= cc
STBCAM_VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml)
STBCAM_SONAME  := libstbcam.so.$(firstword $(subst ., ,$(STBCAM_VERSION)))
STBCAM_TRIPLE  := $(patsubst %.json,%,$(notdir $(CARGO_BUILD_TARGET)))
STBCAM_OUT     := target/$(if $(STBCAM_TRIPLE),$(STBCAM_TRIPLE)/)release
STBCAM_BUILD   := --target-dir target --release
STBCAM_SYMBOLS := $(shell sed -n 's/^ *\(stbcam_[a-z0-9_]*\);$$/\1/p' ffi/stbcam.map)
STBCAM_LIBS    := -lpthread -ldl -lm $(if $(filter pcsc,$(FEATURES)),-lpcsclite)
STBCAM_SOURCES := Cargo.toml Cargo.lock $(shell find cam-types iso7816 gp ecm-emm wallet cam-core stb-shim ffi \
                  \( -name '*.rs' -o -name Cargo.toml \) -not -path '*/tests/*')
# The binutils of CC's processor.
OBJCOPY        ?= $(shell $(CC) -print-prog-name=objcopy)
NM             ?= $(shell $(CC) -print-prog-name=nm)

.PHONY: library
library: $(STBCAM_OUT)/static/libstbcam.a $(STBCAM_OUT)/$(STBCAM_SONAME) $(STBCAM_OUT)/libstbcam.libs

# What cargo made; an archive that is not there must not become an empty one.
$(STBCAM_OUT)/libstbcam.a: $(STBCAM_SOURCES)
	$(CARGO) build -p stbcam-ffi $(STBCAM_BUILD) $(if $(FEATURES),--features "$(FEATURES)")
	@test -s $@ || { echo "$@: cargo has not put the library here. A target of another processor is named by" \
	    "CARGO_BUILD_TARGET=TRIPLE, for make to know of it; one of cargo's config file it cannot see." >&2; exit 1; }
	@touch -c $@

# For programs that take the library into themselves. The crate libc binds old versions of five functions of glibc
# (cfsetspeed and its kind), which no archive of libc has; nothing here calls them (`make -C tests/c symbols`), but the
# object that nix is in names them. Cargo's archive stays as it is, for cargo would put it back.
$(STBCAM_OUT)/static/libstbcam.a: $(STBCAM_OUT)/libstbcam.a
	@mkdir -p $(@D)
	$(OBJCOPY) --strip-debug \
	    $$($(NM) $< 2>/dev/null | sed -n 's/^ *U \(\([^@]*\)@.*\)$$/--redefine-sym \1=\2/p' | sort -u) $< $@

$(STBCAM_OUT)/libstbcam.so.$(STBCAM_VERSION): $(STBCAM_OUT)/libstbcam.a ffi/stbcam.map
	@$(CC) -shared -o $@ -Wl,-soname,$(STBCAM_SONAME) -Wl,--version-script=ffi/stbcam.map \
	    $(STBCAM_SYMBOLS:%=-Wl,-u,%) -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,-z,defs \
	    $(STBCAM_OUT)/libstbcam.a $(LDFLAGS) $(STBCAM_LIBS) || { rm -f $@; \
	    echo "$@: '$(CC)' links for $$($(CC) -dumpmachine), cargo built for $(or $(STBCAM_TRIPLE),this machine):" \
	    "CC and CARGO_BUILD_TARGET must name one processor, such as CC=arm-linux-gnueabihf-gcc and" \
	    "CARGO_BUILD_TARGET=armv7-unknown-linux-gnueabihf (docs/porting.md)" >&2; exit 1; }
	@there=$$($(NM) -D --defined-only $@ | grep -c ' stbcam_'); test $$there = $(words $(STBCAM_SYMBOLS)) || { rm -f $@; \
	    echo "$@: $$there of the $(words $(STBCAM_SYMBOLS)) functions of ffi/stbcam.map are in $<: 'make clean' and build again" >&2; \
	    exit 1; }

# What else a program links that takes the static one: `make install` builds nothing, and is not told FEATURES again.
$(STBCAM_OUT)/libstbcam.libs: $(STBCAM_OUT)/libstbcam.so.$(STBCAM_VERSION)
	@echo "$(strip $(STBCAM_LIBS))" > $@

# The name that programs find at run time, and the one that -lstbcam finds.
$(STBCAM_OUT)/$(STBCAM_SONAME): $(STBCAM_OUT)/libstbcam.so.$(STBCAM_VERSION)
	ln -sf $(notdir $<) $@
	ln -sf $(@F) $(@D)/libstbcam.so
