# SPDX-License-Identifier: Apache-2.0
# Installs what was built, and takes it away again; builds nothing. Included by the Makefile at the top.
#
#   make install            library, headers, documents, examples, and the tools vcard, headend and stbcam
#   make install-library    without the tools
#   make uninstall          takes away what either has installed
#
# PREFIX, LIBDIR, INCLUDEDIR, BINDIR, DOCDIR: where; absolute. DESTDIR goes before all of them and into none of the files.

PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BINDIR     ?= $(PREFIX)/bin
DOCDIR     ?= $(PREFIX)/share/doc/stbcam
STRIP      ?= $(shell $(CC) -print-prog-name=strip)
PKGDIR     := $(LIBDIR)/pkgconfig
CMAKEDIR   := $(LIBDIR)/cmake/stbcam

STBCAM_TOOLS   := vcard headend stbcam
STBCAM_HEADERS := stbcam.h stbcam.hpp stbcam-enums.hpp
# Under DOCDIR they lie as in the source, so that the names that headers and documents use lead there.
STBCAM_DOCS    := LICENSE CHANGELOG.md docs/porting.md $(sort $(wildcard docs/spec/*.md examples/c/*.[ch] examples/cpp/* \
                  examples/demo/*.toml))
STBCAM_PLACES  := PREFIX LIBDIR INCLUDEDIR BINDIR DOCDIR

# Into DESTDIR: $(call stbcam_template,FILE.in,DESTINATION).
define stbcam_template
sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' \
    -e 's|@INCLUDEDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(INCLUDEDIR))|' \
    -e "s|@FROM_CMAKEDIR@|$$(realpath -m --relative-to=$(CMAKEDIR) $(INCLUDEDIR))|" \
    -e 's|@VERSION@|$(STBCAM_VERSION)|' -e 's|@SONAME@|$(STBCAM_SONAME)|' \
    -e "s|@LIBS@|$$(cat $(STBCAM_OUT)/libstbcam.libs)|" $(1) > $(2)
chmod 644 $(2)
endef

.PHONY: install install-library uninstall installable installable-tools absolute

absolute:
	@$(foreach place,$(STBCAM_PLACES),$(if $(filter /%,$($(place))),,\
	    echo "$(place)='$($(place))' must begin with '/'; a place to pack from is DESTDIR" >&2; exit 1;)) :

installable: absolute
	@for file in static/libstbcam.a libstbcam.so.$(STBCAM_VERSION) libstbcam.libs; do test -s $(STBCAM_OUT)/$$file || { \
	    echo "$(STBCAM_OUT)/$$file is not there, and nothing is built here: run 'make library' before" >&2; exit 1; }; done

installable-tools: absolute
	@for tool in $(STBCAM_TOOLS); do test -x $(BIN)/$$tool || { \
	    echo "$(BIN)/$$tool is not there, and nothing is built here: run 'make' before, or 'make install-library' for the" \
	    "library alone" >&2; exit 1; }; done

install-library: installable
	install -d $(addprefix $(DESTDIR),$(LIBDIR) $(PKGDIR) $(CMAKEDIR) $(INCLUDEDIR))
	install -m 644 $(STBCAM_HEADERS:%=include/%) $(DESTDIR)$(INCLUDEDIR)/
	$(STRIP) --strip-unneeded -o $(DESTDIR)$(LIBDIR)/libstbcam.so.$(STBCAM_VERSION) $(STBCAM_OUT)/libstbcam.so.$(STBCAM_VERSION)
	chmod 755 $(DESTDIR)$(LIBDIR)/libstbcam.so.$(STBCAM_VERSION)
	ln -sf libstbcam.so.$(STBCAM_VERSION) $(DESTDIR)$(LIBDIR)/$(STBCAM_SONAME)
	ln -sf $(STBCAM_SONAME) $(DESTDIR)$(LIBDIR)/libstbcam.so
	install -m 644 $(STBCAM_OUT)/static/libstbcam.a $(DESTDIR)$(LIBDIR)/
	$(call stbcam_template,ffi/stbcam.pc.in,$(DESTDIR)$(PKGDIR)/stbcam.pc)
	$(call stbcam_template,ffi/stbcam-config.cmake.in,$(DESTDIR)$(CMAKEDIR)/stbcam-config.cmake)
	$(call stbcam_template,ffi/stbcam-config-version.cmake.in,$(DESTDIR)$(CMAKEDIR)/stbcam-config-version.cmake)
	for file in $(STBCAM_DOCS); do install -D -m 644 $$file $(DESTDIR)$(DOCDIR)/$$file || exit 1; done

install: installable installable-tools install-library
	install -d $(DESTDIR)$(BINDIR)
	for tool in $(STBCAM_TOOLS); do \
	    $(STRIP) -o $(DESTDIR)$(BINDIR)/$$tool $(BIN)/$$tool && chmod 755 $(DESTDIR)$(BINDIR)/$$tool || exit 1; done

# Directories are taken away where they are ours alone and empty.
uninstall: absolute
	rm -f $(STBCAM_TOOLS:%=$(DESTDIR)$(BINDIR)/%) $(STBCAM_HEADERS:%=$(DESTDIR)$(INCLUDEDIR)/%) \
	    $(addprefix $(DESTDIR)$(LIBDIR)/,libstbcam.so.$(STBCAM_VERSION) $(STBCAM_SONAME) libstbcam.so libstbcam.a) \
	    $(DESTDIR)$(PKGDIR)/stbcam.pc $(DESTDIR)$(CMAKEDIR)/stbcam-config.cmake \
	    $(DESTDIR)$(CMAKEDIR)/stbcam-config-version.cmake $(STBCAM_DOCS:%=$(DESTDIR)$(DOCDIR)/%)
	for folder in $(CMAKEDIR) $(addprefix $(DOCDIR)/,docs/spec docs examples/c examples/cpp examples/demo examples) $(DOCDIR); do \
	    ! test -d $(DESTDIR)$$folder || rmdir --ignore-fail-on-non-empty $(DESTDIR)$$folder || exit 1; done
