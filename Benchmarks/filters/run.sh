#!/bin/sh
# Times filters at 50 %, 5 %, .1 % of the products and at a single one, in process.
#
#   Benchmarks/filters/run.sh [PRODUCTS [DIMENSION [LIST_LENGTH [QUERIES]]]]
#
# Random vectors, published with categories of these shares; 0 as the length of lists saves their building.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
products=${1:-100000}
dimension=${2:-64}
length=${3:-100}
queries=${4:-1000}
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

cd "$root"
swift build -c release --product fletch >&2
swift build -c release --product filter-bench >&2
python3 Benchmarks/data/synthetic_embeddings.py "$directory" "$products" "$dimension"
awk -v n="$products" 'BEGIN {
    print "id,category"
    for (row = 0; row < n; row++) {
        category = row == 4 ? "one" : row % 2 == 0 ? "half" : row % 20 == 1 ? "twentieth" : row % 1000 == 3 ? "thousandth" : "others"
        printf "B%09d,%s\n", 100000000 + row, category
    }
}' > "$directory/products.csv"
.build/release/fletch publish --related "$directory" --store "$directory/store" --list-length "$length" \
    --products "$directory/products.csv"
.build/release/filter-bench "$directory/store" "$queries"
