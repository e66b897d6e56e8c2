#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what the tests use and a plain machine has not: Debian packages (as root), PyPI into target/venv.
#
#   install-tools.sh            what `make test` needs
#   install-tools.sh targets    what `make test-targets` needs besides: a compiler that builds its own std, C compilers and
#                               libraries of the other processors, and what runs them. No foreign architecture of dpkg.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(libdvbcsa1 ffmpeg valgrind strace python3-venv g++ cmake pkg-config)
case "${1:-}" in
"") ;;
targets)
    packages=(rustc-web cargo-web rust-web-src qemu-user
        gcc-i686-linux-gnu libc6-dev-i386-cross
        gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
        gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
    ;;
*)
    echo "install-tools.sh: '$1' is not known; 'targets' or nothing" >&2
    exit 2
    ;;
esac

missing=()
for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "install-tools.sh: not root, and these Debian packages are missing: ${missing[*]}" >&2
        exit 1
    fi
    echo "installing ${missing[*]}"
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
[ "${1:-}" = "" ] || exit 0

wanted=$(sha256sum tests/requirements.txt)
if [ ! -x target/venv/bin/python ] || [ "$wanted" != "$(cat target/venv/requirements.sha256 2>/dev/null)" ]; then
    "${PYTHON:-python3}" -m venv target/venv
    target/venv/bin/pip install --quiet -r tests/requirements.txt
    echo "$wanted" > target/venv/requirements.sha256
fi
