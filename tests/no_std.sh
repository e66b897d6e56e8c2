#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Proves that nothing below cam-core turns on a `std` feature: the attribute in our own crates and the
# features that Cargo resolves for the dependencies.
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
for crate in cam-types gp iso7816 ecm-emm wallet cam-core; do
    for line in '#![no_std]' '#![forbid(unsafe_code)]'; do
        grep -qxF "$line" "$crate/src/lib.rs" || { echo "$crate/src/lib.rs lacks $line"; status=1; }
    done
done
# Features of proc-macros run on the build machine: `--target all -e no-proc-macro` leaves them out.
found=$(cargo tree -p cam-core -e normal,features,no-proc-macro --prefix none | grep -E ' feature "(std|default-std)"' | sort -u || true)
if [ -n "$found" ]; then
    echo "std features below cam-core:"; echo "$found"; status=1
fi
[ $status -eq 0 ] && echo "no_std: the crates from cam-core down use neither std nor unsafe"
exit $status
