#!/bin/sh
# What decoding and encoding a message costs, beside swift-protobuf and upb: run.sh [OPTIONS OF compare.py]
#
# Needs `make setup`. The first build takes some minutes.
set -eu
cd "$(dirname "$0")"
swift build -c release --product measure
exec ../../.venv/bin/python compare.py "$@" "$(swift build -c release --show-bin-path)/measure"
