#!/usr/bin/env bash
# Installs what the tests use and a plain machine has not: Debian packages (as root), PyPI into target/venv.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for package in libdvbcsa1 ffmpeg valgrind strace python3-venv; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing ${missing[*]}"
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

wanted=$(sha256sum tests/requirements.txt)
if [ ! -x target/venv/bin/python ] || [ "$wanted" != "$(cat target/venv/requirements.sha256 2>/dev/null)" ]; then
    "${PYTHON:-python3}" -m venv target/venv
    target/venv/bin/pip install --quiet -r tests/requirements.txt
    echo "$wanted" > target/venv/requirements.sha256
fi
