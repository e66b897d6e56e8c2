# SPDX-License-Identifier: Apache-2.0
# make            everything: library, header check aside, tools, player
# make demo       the story, paced by the stream's clock; files in target/demo
# make check-demo recompute the last `make demo` with OpenSSL, libdvbcsa and ffmpeg
# make test       every check; installs what it needs (Debian packages as root, PyPI)
# make test-targets   the crates and C programs on i686, armv7 and aarch64, and at every time after boot that a counter could
#                     end in; a compiler for them is installed (Debian packages, as root)
# make bench-floods what floods do to a box, in virtual time: a table, target/bench/floods.json, and failure over a limit; minutes,
#                 not part of `make test`, whose test `floods` has the same limits
# make abi-freeze copy the header into tests/abi/VERSION, whose ABI is kept; a released one only with AGAIN=again
# make test-tear      the power cut at every write and every octet of what moves money; a table; part of `make test`
# make test-defences  take every defence of the card line out and see its test fail; not part of `make test`
# make bench-line   the card line's benchmarks: a table, and target/bench/line.json
# make bench-descrambler  how fast the software descrambler is: a table; not part of `make test`
# make bench-ct   whether the time of a refusal tells where it is wrong: a table, and failure where it does; not part of `make test`
# make bench-money  what money takes, in virtual time: a table, target/bench/money.json, and failure over a limit; part of `make test`
# make fuzz       every fuzz target for SECONDS=60 each; needs a nightly compiler and cargo-fuzz; not part of `make test`
# make library    the library alone, static and shared; with CARGO_BUILD_TARGET and CC for another processor (docs/porting.md)
# make install    what was built, and builds nothing: PREFIX=/usr/local LIBDIR= INCLUDEDIR= BINDIR= DOCDIR= DESTDIR=
#                 (install-library: without the tools; uninstall)
#
# FEATURES=pcsc   with readers behind PC/SC; needs libpcsclite-dev

CARGO  ?= cargo
PYTHON ?= python3
SECONDS ?= 60
CFLAGS ?= -O2
# Tests are built to count the blocks of the ciphers too, so that what money takes is no build of its own.
METER  := --features system-tests/meter,stbcam-ffi/counted
VENV   := target/venv/bin/python

.PHONY: all rust demo check-demo test test-targets test-tear test-defences fuzz lint unit unit-programs unit-examples header \
        c-test system-test pcsc-test pcsc-exchange bench-line bench-descrambler bench-ct bench-money bench-floods \
        abi-freeze tools clean

.DEFAULT_GOAL := all

include ffi/library.mk

BIN := $(STBCAM_OUT)

include ffi/install.mk

all: rust library $(BIN)/player

rust:
	$(CARGO) build $(STBCAM_BUILD) --workspace --exclude system-tests $(if $(FEATURES),--features "$(FEATURES:%=stbcam-ffi/%)")

$(BIN)/player: $(wildcard examples/c/*.[ch]) include/stbcam.h $(BIN)/$(STBCAM_SONAME)
	$(CC) -std=c99 -Wall -Wextra -Werror -pedantic $(CFLAGS) -Iinclude examples/c/*.c -o $@ -L$(BIN) -lstbcam -Wl,-rpath,'$$ORIGIN' $(LDFLAGS)

demo: all
	$(PYTHON) examples/demo/story.py --out target/demo

check-demo: tools
	$(VENV) tests/check_demo.py target/demo
	$(VENV) tests/check_secrets.py target/demo

test:
	$(PYTHON) tests/run.py

test-targets: all
	bash tests/install-tools.sh targets
	$(PYTHON) tests/targets.py

test-tear:
	$(CARGO) test --workspace $(METER) --test tear -- --nocapture --test-threads 2

test-defences:
	$(PYTHON) tests/defences.py --write

fuzz:
	$(PYTHON) fuzz/seeds.py
	cd fuzz && $(CARGO) clippy --locked --all-targets -- -D warnings
	cd fuzz && $(CARGO) +nightly fuzz build
	cd fuzz && for target in $$($(CARGO) +nightly fuzz list); do \
	    $(CARGO) +nightly fuzz run $$target -- -max_total_time=$(SECONDS) -max_len=1024 -print_final_stats=1 || exit 1; done

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets $(METER) -- -D warnings
	$(CARGO) clippy -p cam-types -p gp -p wallet -p vcard -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --workspace --no-deps
	bash tests/no_std.sh
	$(PYTHON) tests/conformance.py
	$(PYTHON) tests/circles.py --quiet
	$(PYTHON) tests/licences.py
	$(PYTHON) tests/house.py

unit:
	$(PYTHON) tests/run.py unit

# What cargo has built, as JSON; the examples in documentation.
unit-programs:
	$(CARGO) test --workspace $(METER) --no-run --message-format=json-render-diagnostics

unit-examples:
	$(CARGO) test --workspace $(METER) --doc

c-test:
	$(PYTHON) tests/run.py c

system-test:
	$(PYTHON) tests/run.py system

# Debian's pcscd at vcard; STBCAM_SKIP_PCSC=1 leaves it out.
pcsc-test: rust
	$(PYTHON) tests/pcsc.py $(BIN)/vcard

# The library's readers by hand, with the one behind PC/SC; beside the tests, whose example of this name is without it.
pcsc-exchange:
	$(CARGO) build --quiet --workspace $(METER) --features stb-shim/pcsc --example exchange
	install -D target/debug/examples/exchange target/pcsc/exchange

bench-line: all tools
	$(CARGO) build --release -p system-tests -p stb-shim -p stbcam-ffi --example paced --example exchange --example ecm
	$(PYTHON) tests/bench/line.py $(BIN)

bench-descrambler:
	$(CARGO) run --quiet --release -p stb-shim --example descrambler

bench-ct:
	$(CARGO) run --quiet --release -p system-tests --bin refusals -- welch

bench-money:
	mkdir -p target/bench
	$(CARGO) test --quiet --workspace $(METER) --no-run
	target/debug/examples/money target/bench/money.json

bench-floods:
	mkdir -p target/bench
	$(CARGO) run --quiet --release -p system-tests --example floods target/bench/floods.json

abi-freeze:
	$(PYTHON) tests/check_abi.py freeze $(AGAIN)

tools:
	bash tests/install-tools.sh

clean:
	$(CARGO) clean
