import FletchHTTP2
import Testing
import FletchWire

@testable import FletchRPC

private func bytes<Result>(_ text: String, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    Array(text.utf8).withUnsafeBytes(body)
}

@Suite struct ParserTests {
    @Test(arguments: [
        ("1n", 1), ("1u", 1_000), ("1m", 1_000_000), ("1S", 1_000_000_000), ("1M", 60_000_000_000),
        ("1H", 3_600_000_000_000), ("0n", 0), ("00000007n", 7), ("99999999H", UInt64.max),
    ])
    func readsTimeouts(_ text: String, _ nanoseconds: UInt64) {
        #expect(bytes(text, parseTimeout) == nanoseconds)
    }

    @Test(arguments: ["", "1", "n", "1x", "1s", "123456789n", " 1n", "1 n", "+1n", "-1n", "1.5S", "１n"])
    func refusesOtherTimeouts(_ text: String) {
        #expect(bytes(text, parseTimeout) == nil)
    }

    @Test func encodesStatusMessages() {
        #expect(percentEncoded("plain, with: ~ signs!") == "plain, with: ~ signs!")
        #expect(percentEncoded("100%\n\u{7F}é€😀") == "100%25%0A%7F%C3%A9%E2%82%AC%F0%9F%98%80")
    }

    @Test func cutsStatusMessagesAtACharactersEdge() {
        #expect(percentEncoded("abcdef", limit: 4) == "abcd")
        #expect(percentEncoded("abcd", limit: 4) == "abcd")
        #expect(percentEncoded("abcé", limit: 4) == "abc")
        #expect(percentEncoded("a😀b", limit: 4) == "a")
        #expect(percentEncoded("a😀b", limit: 5) == "a%F0%9F%98%80")
    }

    @Test func codesBase64() {
        for (plain, encoded) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg")] {
            #expect(Base64.encode(Array(plain.utf8)) == encoded)
            #expect(bytes(encoded) { Base64.decode($0[...]) } == Array(plain.utf8))
        }
        #expect(bytes("Zg==") { Base64.decode($0[...]) } == [0x66])
        for bad in ["Z", "Zg=", "Zg===", "=", "Zm9v=", "Z g", "Zg-_", "====", "Zm=v"] {
            #expect(bytes(bad) { Base64.decode($0[...]) } == nil, "\(bad)")
        }
    }

    @Test func findsMethodsByTheirExactPath() {
        // Many paths of all lengths: collisions and short hashes included.
        let paths = (0..<300).map { "/" + String(repeating: "s", count: $0 % 23) + "/\($0)" }
        let table = MethodTable(
            paths.map { Method(path: $0) { _ throws(RPCError) in } }, defaultMaxRequestBytes: 1)
        for (index, path) in paths.enumerated() {
            #expect(bytes(path) { table.lookUp($0) } == index)
            #expect(bytes(path + "x") { table.lookUp($0) } == nil)
            #expect(bytes(String(path.dropLast()) + "x") { table.lookUp($0) } == nil)
        }
        #expect(bytes("") { table.lookUp($0) } == nil)
        let empty = MethodTable([], defaultMaxRequestBytes: 1)
        #expect(bytes("/") { empty.lookUp($0) } == nil)
    }
}

@Suite struct MessageBufferTests {
    @Test func growsOnlyAsBytesArrive() throws {
        let loop = LoopBudget(bytes: 1 << 20)
        var budget = ConnectionBudget(of: loop.budget)
        var buffer = MessageBuffer()
        defer { buffer.destroy() }
        try [UInt8]([0, 0, 0x10, 0, 0]).withUnsafeBytes {
            try buffer.append($0, limit: 4 << 20, isEncoded: false, budget: &budget)
        }
        #expect(loop.budget.pointee.available == 1 << 20)
        try [UInt8](repeating: 1, count: 2000).withUnsafeBytes {
            try buffer.append($0, limit: 4 << 20, isEncoded: false, budget: &budget)
        }
        #expect(loop.budget.pointee.available > 1 << 19)
        buffer.clear(budget: &budget)
        #expect(loop.budget.pointee.available == 1 << 20)
    }
    @Test func aWarmBufferTakesTheSameMemoryAgain() throws {
        let loop = LoopBudget(bytes: 1 << 20)
        var budget = ConnectionBudget(of: loop.budget)
        var buffer = MessageBuffer()
        defer { buffer.destroy() }
        var addresses: [UnsafeMutableRawPointer] = []
        for _ in 0..<3 {
            let answer = [UInt8](repeating: 7, count: 5000)
            #expect(answer.withUnsafeBytes { buffer.replace(with: $0, budget: &budget) })
            #expect(Array(buffer.bytes) == answer)
            addresses.append(buffer.base)
            #expect(loop.budget.pointee.available == 1 << 20 - 8 << 10 && loop.budget.pointee.keptBytes == 0)
            buffer.clear(budget: &budget)
            #expect(loop.budget.pointee.available == 1 << 20 && loop.budget.pointee.keptBytes == 8 << 10)
        }
        #expect(addresses == Array(repeating: addresses[0], count: 3))
    }

    @Test(arguments: [1, 2048, 2049, 5000, 65_536, 65_537, 1_000_000]) func blocksHoldWhatWasAsked(_ byteCount: Int)
        throws
    {
        var budget = ByteBudget(bytes: 1 << 20)
        defer { budget.destroy() }
        let allocated = budget.allocate(byteCount)
        let block = try #require(allocated)
        #expect(block.count >= byteCount && block.count <= max(2 * byteCount, ByteBudget.smallestBlock))
        #expect(budget.available == 1 << 20 - block.count)
        let beyond = budget.allocate(1 << 20)
        #expect(beyond == nil)
        budget.release(block)
        #expect(budget.keptBytes == (byteCount <= ByteBudget.largestKeptBlock ? block.count : 0))
    }

    @Test func memoryKeptAfterAFloodIsBounded() {
        var budget = ByteBudget(bytes: 64 << 20)
        defer { budget.destroy() }
        let blocks = (0..<1000).map { budget.allocate(1 << ($0 % 17))! }
        for block in blocks { budget.release(block) }
        #expect(budget.available == 64 << 20)
        #expect(budget.keptBytes <= ByteBudget.maxKeptBytes && budget.keptBytes > ByteBudget.maxKeptBytes / 2)
    }

    @Test func aConnectionLeavesSomeForTheOthers() {
        let loop = LoopBudget(bytes: 1 << 20, connectionShare: 4)
        var greedy = ConnectionBudget(of: loop.budget)
        let half = greedy.take(1 << 19)
        let more = greedy.take(1)
        #expect(half && !more)
        for _ in 0..<100 {
            var connection = ConnectionBudget(of: loop.budget)
            let free = loop.budget.pointee.available
            while connection.take(1) {}
            #expect(connection.held >= free / 5 && connection.held <= free / 4 || free < 5)
            if free < 5 { break }
        }
        greedy.give(1 << 19)
        let again = greedy.take(1000)
        #expect(again && greedy.held == 1000)
    }

    @Test func aConnectionHoldsItsBlocks() throws {
        let loop = LoopBudget(bytes: 1 << 20, connectionShare: 4)
        var connection = ConnectionBudget(of: loop.budget)
        let allocated = connection.allocate(5000)
        let block = try #require(allocated)
        #expect(connection.held == block.count && loop.budget.pointee.available == 1 << 20 - block.count)
        let beyond = connection.allocate(600_000)
        #expect(beyond == nil && connection.held == block.count)
        connection.release(block)
        #expect(connection.held == 0 && loop.budget.pointee.available == 1 << 20)
    }
}

/// A loop's budget at a fixed place.
private final class LoopBudget {
    let budget = UnsafeMutablePointer<ByteBudget>.allocate(capacity: 1)

    init(bytes: Int, connectionShare: Int = 0) {
        budget.initialize(to: ByteBudget(bytes: bytes, connectionShare: connectionShare))
    }

    deinit {
        budget.pointee.destroy()
        budget.deallocate()
    }
}
