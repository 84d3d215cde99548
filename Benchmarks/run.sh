#!/usr/bin/env bash
# CPU per request of `fletch serve` on a table of 100,000 products, beside other servers given as for rpc/compare.py:
#
#   Benchmarks/run.sh ['NAME=COMMAND with {port}' ... --request NAME=/pkg.Service/Method:BODYFILE ...]
#
# The first server named is what ratios refer to. Needs `make build`; the table is made once, in .build/benchmark.
set -euo pipefail
cd "$(dirname "$0")/.."
fletch=.build/release/fletch
table=.build/benchmark

if [[ ! -e $table/store/related/CURRENT ]]; then
    .venv/bin/python Benchmarks/data/synthetic_embeddings.py "$table/embeddings" 100000 64
    "$fletch" publish --related "$table/embeddings" --store "$table/store"
fi
exec python3 Benchmarks/rpc/compare.py --product B100000777 "$@" \
    "fletch=$fletch serve --store $table/store --loops 1 --listen 127.0.0.1:{port}"
