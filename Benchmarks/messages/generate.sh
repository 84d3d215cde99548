#!/bin/sh
# Regenerates swift-protobuf's side of the messages: generate.sh PROTOC_GEN_SWIFT
#
# Building that plugin takes minutes (in a clone of swift-protobuf 1.39.0:
# swift build -c release --product protoc-gen-swift), so what it makes is committed.
# codegen/generate.sh renews Fletch's side.
set -eu
cd "$(dirname "$0")"
plugin=$1
output=Sources/SwiftProtobufMessages
protoc --plugin=protoc-gen-swift="$plugin" -I Protos --swift_out=Visibility=Public:$output catalogue.proto
protoc --plugin=protoc-gen-swift="$plugin" -I ../../proto --swift_opt=FileNaming=DropPath \
    --swift_out=Visibility=Public:$output fletch/v1/related_products.proto
