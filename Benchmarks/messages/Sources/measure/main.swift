// One round: each implementation decodes and encodes each message for some milliseconds; a line of CSV for each.
//
//   measure FOLDER MILLISECONDS
//
// FOLDER has the encoded messages that compare.py wrote. The implementations of a message take turns in short spells,
// so that noise of the machine meets all alike; the best spell counts.

import CAllocations
import FletchMessages
import FletchSchema
import FletchWire
import Glibc
import SwiftProtobuf
import SwiftProtobufMessages

/// The processor's time that this thread has taken, in nanoseconds.
func nanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// What an implementation does with a message, any number of times.
struct Contender {
    let implementation: String
    let operation: String
    let run: (_ repetitions: Int) throws -> Void
}

@inline(never)
func use<T>(_ value: borrowing T) {}

/// Fletch's two faces.
func contenders<M: FletchWire.Message>(fletch type: M.Type, _ bytes: [UInt8]) throws -> [Contender] {
    // As large as a server's arena grows that has seen such messages.
    let arena = Arena(capacity: 1 << 20)
    let sources = Arena(capacity: 1 << 20)
    let view = try bytes.withUnsafeBytes { try M.View(decoding: $0, in: sources) }
    let source = UnsafeMutableRawPointer(mutating: view._pointer)
    let value = try M(decoding: bytes)
    precondition(value.encoded() == bytes && view.encoded() == bytes)
    return [
        Contender(implementation: "fletch views", operation: "decode") { repetitions in
            try bytes.withUnsafeBytes { bytes in
                for _ in 0..<repetitions {
                    use(try M.View(decoding: bytes, in: arena))
                    arena.reset()
                }
            }
        },
        Contender(implementation: "fletch views", operation: "encode") { repetitions in
            for _ in 0..<repetitions {
                use(M.Builder(_pointer: source, _arena: arena).encodedInArena(headroom: 5))
                arena.reset()
            }
        },
        Contender(implementation: "fletch values", operation: "decode") { repetitions in
            for _ in 0..<repetitions { use(try M(decoding: bytes)) }
        },
        Contender(implementation: "fletch values", operation: "encode") { repetitions in
            for _ in 0..<repetitions { use(value.encoded()) }
        },
    ]
}

func contenders<M: SwiftProtobuf.Message>(swiftProtobuf type: M.Type, _ bytes: [UInt8]) throws -> [Contender] {
    let value = try M(serializedBytes: bytes)
    let encoded: [UInt8] = try value.serializedBytes()
    precondition(encoded == bytes)
    return [
        Contender(implementation: "swift-protobuf", operation: "decode") { repetitions in
            for _ in 0..<repetitions { use(try M(serializedBytes: bytes)) }
        },
        Contender(implementation: "swift-protobuf", operation: "encode") { repetitions in
            for _ in 0..<repetitions { use(try value.serializedBytes() as [UInt8]) }
        },
    ]
}

func read(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "rb") else { fatalError("\(path) cannot be read; run Benchmarks/messages/run.sh") }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    return Array(bytes[..<fread(&bytes, 1, bytes.count, file)])
}

/// Runs contenders in turn, about `milliseconds` each, and prints what one message took.
func measure(_ message: String, _ contenders: [Contender], milliseconds: Int) throws {
    let spells = 8
    var best = [Double](repeating: .infinity, count: contenders.count)
    var allocations = [UInt64](repeating: 0, count: contenders.count)
    var repetitions = [Int](repeating: 1, count: contenders.count)
    for (index, contender) in contenders.enumerated() {
        // Warms up, and finds how often fits a spell.
        try contender.run(10)
        let start = nanoseconds()
        try contender.run(20)
        let each = max((nanoseconds() - start) / 20, 1)
        repetitions[index] = max(milliseconds * 1_000_000 / spells / Int(each), 1)
        let before = allocation_count()
        try contender.run(100)
        allocations[index] = (allocation_count() - before) / 100
    }
    for _ in 0..<spells {
        for (index, contender) in contenders.enumerated() {
            let start = nanoseconds()
            try contender.run(repetitions[index])
            best[index] = min(best[index], Double(nanoseconds() - start) / Double(repetitions[index]))
        }
    }
    for (index, contender) in contenders.enumerated() {
        print("\(message),\(contender.operation),\(contender.implementation),\(best[index]),\(allocations[index])")
    }
}

guard CommandLine.arguments.count == 3, let milliseconds = Int(CommandLine.arguments[2]) else {
    fatalError("usage: measure FOLDER MILLISECONDS")
}
let folder = CommandLine.arguments[1]
let request = read("\(folder)/request")
let response = read("\(folder)/response")
let catalogue = read("\(folder)/catalogue")
try measure(
    "request",
    contenders(fletch: FletchSchema.RelatedRequest.self, request)
        + contenders(swiftProtobuf: SwiftProtobufMessages.RelatedRequest.self, request), milliseconds: milliseconds)
try measure(
    "response",
    contenders(fletch: FletchSchema.RelatedResponse.self, response)
        + contenders(swiftProtobuf: SwiftProtobufMessages.RelatedResponse.self, response), milliseconds: milliseconds)
try measure(
    "catalogue",
    contenders(fletch: FletchMessages.Benchmark_V1_Catalogue.self, catalogue)
        + contenders(swiftProtobuf: SwiftProtobufMessages.Benchmark_V1_Catalogue.self, catalogue),
    milliseconds: milliseconds)
