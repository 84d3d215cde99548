#!/usr/bin/env bash
# Learns what leads to what in this machine's own Debian archive, publishes the table, serves it, asks both ways.
# Everything it makes is in demo/; a second run publishes a second version.
set -euo pipefail
cd "$(dirname "$0")/../.."
fletch=.build/release/fletch
mkdir -p demo

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

step "1. The archive as a directed graph: a package leads to what it depends on, recommends or suggests"
.venv/bin/python Benchmarks/data/debian_edges.py > demo/edges.csv
printf '%s edges in demo/edges.csv\n' "$(($(wc -l < demo/edges.csv) - 1))"

step "2. Learn a source and a target embedding of every package"
run "$fletch" train related --edges demo/edges.csv --output demo/embeddings --seed 1

step "3. Build exact neighbour lists and publish them as the next version of the table"
run "$fletch" publish --related demo/embeddings --store demo/store
run "$fletch" tables list --store demo/store

step "4. Serve it"
server_output=$(mktemp)
"$fletch" serve --store demo/store --listen 127.0.0.1:0 > "$server_output" 2> demo/server.log &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -f "$server_output"' EXIT
for _ in $(seq 100); do
    grep -q 'listening on' "$server_output" && break
    kill -0 "$server" 2>/dev/null || { cat demo/server.log >&2; exit 1; }
    sleep 0.1
done
grep -q 'listening on' "$server_output" || { echo "the server does not listen; see demo/server.log" >&2; exit 1; }
address=$(sed -n 's/.*listening on \([^ ]*\).*/\1/p' "$server_output")
printf 'listening on %s\n' "$address"

package=${1:-vlc}
step "5. What to install after $package"
run "$fletch" query related --server "$address" --product "$package" --limit 10
follows=$("$fletch" query related --server "$address" --product "$package" --limit 1 --json |
    .venv/bin/python -c 'import json, sys; print(json.load(sys.stdin)["items"][0]["productId"])')

step "6. The reverse question has another answer: what to install after $follows"
run "$fletch" query related --server "$address" --product "$follows" --limit 10
"$fletch" query related --server "$address" --product "$follows" --limit 1000 --json | .venv/bin/python -c '
import json, sys
package, follows = sys.argv[1:]
ranks = {item["productId"]: rank for rank, item in enumerate(json.load(sys.stdin)["items"], 1)}
place = f"at place {ranks[package]}" if package in ranks else "not among the first 1000"
print(f"{package} leads to {follows} first; what {follows} leads to has {package} {place}.")' "$package" "$follows"

step "7. The same from Python, with stock grpcio"
PYTHONPATH=clients/python run .venv/bin/python clients/python/examples/related.py "$address" "$package"
