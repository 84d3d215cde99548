#!/usr/bin/env bash
# Regenerates the client's message and stub modules from proto/; with --check, fails where they differ.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=clients/python
if [[ "${1:-}" == --check ]]; then
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
fi
.venv/bin/python -m grpc_tools.protoc --proto_path=proto --python_out="$out" --pyi_out="$out" --grpc_python_out="$out" \
    fletch/v1/related_products.proto
if [[ "${1:-}" == --check ]]; then
    diff -r "$out/fletch/v1" clients/python/fletch/v1 --exclude=__pycache__ ||
        { echo "clients/python/fletch/v1 is not what proto/ gives: run 'make generate' and commit" >&2; exit 1; }
fi
