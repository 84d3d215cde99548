#!/bin/sh
# Builds every fuzzer with AddressSanitizer and runs each for some seconds from its corpus.
#
#   Tests/Fuzz/run.sh [SECONDS] [NAME...]
#
# What a fuzzer finds is left as crash-* in .build-fuzz/findings/NAME: mend it, and keep the file as Corpus/NAME/<what>.
set -eu

cd "$(dirname "$0")/../.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
export FLETCH_FUZZ=1
# Swift's own crash handler would hide a crash from libFuzzer.
export SWIFT_BACKTRACE=enable=no

fuzzers=${*:-$(grep -o '"fuzz-[a-z0-9-]*"' Package.swift | tr -d '"')}
[ -n "$fuzzers" ] || { echo "Package.swift names no fuzzer: nothing would be tested" >&2; exit 1; }
toolchain=$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")
# SwiftPM's executables bring their main, so libFuzzer's must not be linked (-sanitize=fuzzer would).
library=$("$toolchain/bin/clang" --print-file-name="libclang_rt.fuzzer_no_main-$(uname -m).a")
coverage=edge,inline-8bit-counters,pc-table,trace-cmp,indirect-calls

for fuzzer in $fuzzers; do
    swift build --scratch-path .build-fuzz -c release --product "$fuzzer" --sanitize=address \
        -Xswiftc -sanitize-coverage="$coverage" -Xlinker "$library" -Xlinker -lstdc++
done

# One fuzzer for each core at a time; what a run said is shown once it is over.
export seconds
printf '%s\n' $fuzzers | xargs -P "$(nproc)" -I NAME sh -c '
    findings=.build-fuzz/findings/NAME
    discovered=.build-fuzz/corpus/NAME
    log=.build-fuzz/NAME.log
    mkdir -p "$findings" "$discovered"
    # New inputs go to the first folder; the committed corpus is only read.
    if .build-fuzz/release/NAME -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -artifact_prefix="$findings/" -print_final_stats=1 "$discovered" Tests/Fuzz/Corpus/NAME >"$log" 2>&1
    then echo "NAME: $(grep ^Done "$log"), no finding"
    else tail -n 60 "$log"; echo "NAME: found something, see $findings"; exit 1
    fi'
