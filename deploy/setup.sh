#!/usr/bin/env bash
# Installs the Debian packages given as arguments where they are missing. Needs root or sudo only then.
set -euo pipefail

missing=()
for package in "$@"; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
# The package lists are also the demo's data; an image without them has an empty archive.
if ((${#missing[@]} == 0)) && [[ -n "$(apt-cache dumpavail | head -c 1)" ]]; then exit 0; fi

as_root=()
if ((EUID != 0)); then
    command -v sudo >/dev/null || {
        needed="${missing[*]:+install ${missing[*]} and }update the package lists"
        echo "setup: cannot $needed without root: run this as root once, or install sudo" >&2
        exit 1
    }
    as_root=(sudo)
fi
"${as_root[@]}" apt-get update -qq
((${#missing[@]} == 0)) ||
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
