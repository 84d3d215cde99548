#!/bin/sh
# Regenerates all generated code, or with --check fails where that would change something.
#
#   codegen/generate.sh [--check] [PLUGIN]
#
# PLUGIN is a built protoc-gen-fletch; without it the script builds one. Needs protoc (protobuf-compiler).
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
check=false
if [ "${1:-}" = --check ]; then
    check=true
    shift
fi
if [ $# -gt 0 ]; then
    plugin=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
else
    (cd "$root" && swift build --product protoc-gen-fletch >&2)
    plugin=$(cd "$root" && swift build --product protoc-gen-fletch --show-bin-path)/protoc-gen-fletch
fi

output=$(mktemp -d)
trap 'rm -rf "$output"' EXIT

# generate PROTO_ROOT DESTINATION OPTIONS FILES...: as they are to be in the tree.
generate() {
    proto_root=$root/$1
    destination=$output/$2
    options=$3
    shift 3
    mkdir -p "$destination"
    protoc --plugin=protoc-gen-fletch="$plugin" -I "$proto_root" -I "$root/proto" \
        --fletch_out="${options:+$options:}$destination" "$@"
}

# record PROTO_ROOT NAME OPTIONS FILES...: what protoc sends a plugin, as the tests' input. It carries protoc's version,
# so it is renewed here but no part of the check.
record() {
    proto_root=$root/$1
    request=$requests/$2.request.binpb
    options=$3
    shift 3
    # The answer says that proto3 `optional` is supported, without which protoc does not send it.
    printf '#!/bin/sh\ncat > "%s"\nprintf "\\020\\001"\n' "$request" > "$output/recorder"
    chmod +x "$output/recorder"
    protoc --plugin=protoc-gen-record="$output/recorder" -I "$proto_root" --record_out="$options:$output" "$@"
    rm "$output/recorder"
}

cd "$root"
protos=$(cd proto && find . -name '*.proto' | sed 's|^\./||' | LC_ALL=C sort)
well_known=$(printf '%s\n' "$protos" | grep '^google/protobuf/')
ours=$(printf '%s\n' "$protos" | grep -v '^google/protobuf/')
public=Visibility=Public,UseAccessLevelOnImports=true
flat=$public,FileNaming=PathToUnderscores
messages=Server=false,Client=false
# shellcheck disable=SC2086 # one word for each file
generate proto Sources/WellKnownTypes $flat,$messages $well_known
# shellcheck disable=SC2086
generate proto Sources/Schema $flat,$messages $ours
# shellcheck disable=SC2086
generate proto Sources/ServiceSchema $flat,Messages=false,ExtraModuleImports=FletchSchema $ours
generate codegen/bootstrap codegen/CodeGenerator $messages compiler.proto
generate Tests/Quirks/Protos Tests/Quirks/Generated $public quirks.proto quirks_imported.proto
generate Tests/Interop/Protos Tests/Interop/Generated $public testing.proto probe.proto
generate Tests/Conformance/Protos Tests/Conformance/Generated $public,$messages conformance.proto test_messages_proto3.proto \
    names.proto
generate codegen/example/proto codegen/example/Sources/Server FileNaming=PathToUnderscores \
    example/v1/greeter.proto example/v2/greeter.proto
generate Benchmarks/messages/Protos Benchmarks/messages/Sources/FletchMessages $public catalogue.proto

# Files that no .proto accounts for any more.
stale() {
    find Sources/Schema Sources/ServiceSchema Sources/WellKnownTypes codegen/CodeGenerator Tests/Quirks/Generated \
        Tests/Interop/Generated Tests/Conformance/Generated codegen/example/Sources Benchmarks/messages/Sources \
        -name '*.fletch*.swift' 2>/dev/null | while read -r file; do
        [ -e "$output/$file" ] || echo "$file"
    done
}

if $check; then
    differences=$(
        stale | sed 's/^/stale: /'
        (cd "$output" && find . -type f -name '*.swift' | sed 's|^\./||') | LC_ALL=C sort | while read -r file; do
            diff -u "$file" "$output/$file" 2>&1 || true
        done
    )
    if [ -n "$differences" ]; then
        printf '%s\n' "$differences"
        echo "Generated code differs from its schemas; run codegen/generate.sh and commit the result." >&2
        exit 1
    fi
else
    stale | while read -r file; do rm "$file"; done
    find Sources/Schema Sources/ServiceSchema -type d -empty -delete
    cp -R "$output/." "$root/"
    requests=$root/Tests/Quirks/Requests
    mkdir -p "$requests"
    record codegen/bootstrap compiler $messages compiler.proto
    record Tests/Quirks/Protos quirks $public quirks.proto quirks_imported.proto
    for proto in "$root"/Tests/Quirks/Protos/refused/*.proto; do
        record Tests/Quirks/Protos/refused "$(basename "$proto" .proto)" "" "$(basename "$proto")"
    done
fi
