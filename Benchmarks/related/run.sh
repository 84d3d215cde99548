#!/bin/bash
# The figures of docs/related-products.md: every graph with three seeds, the ablations, and the pictures. Takes about
# 25 minutes on two quiet cores.
#
#   Benchmarks/related/run.sh RESULTS NAME=EDGES...        for example: results debian=debian.csv cora=cora.edges.csv.gz
set -euo pipefail

fletch="${FLETCH:-.build/release/fletch}"
results="$1"
shift
mkdir -p "$results"

evaluate() {
  local name="$1" edges="$2"
  shift 2
  echo "$name" >&2
  "$fletch" evaluate related --edges "$edges" --seeds "${SEEDS:-3}" \
    --json "$results/$name.json" --csv "$results/$name.csv" --plot "$results/$name.svg" "$@" >"$results/$name.txt"
}

for graph in "$@"; do
  name="${graph%%=*}" edges="${graph#*=}"
  evaluate "$name" "$edges" --ablate features --export-split "$results/$name.split.csv" \
    --export-embeddings "$results/$name.embeddings"
  evaluate "$name.ablation" "$edges" --baselines none --ablate sampler,direction,temperature,layers,dimension
  evaluate "$name.node" "$edges" --split node --baselines popularity,normalisedCoCitation
done
