import Glibc
import Quirks
import Testing

@testable import FletchWire

@Suite struct ArenaTests {
    @Test func allocationsAreAlignedAndApart() throws {
        let arena = Arena(capacity: 256)
        defer { arena.destroy() }
        var end = UnsafeMutableRawPointer(bitPattern: 16)!
        for size in [0, 1, 15, 16, 17, 40] {
            let bytes = try #require(arena.allocate(byteCount: size))
            #expect(Int(bitPattern: bytes) % 16 == 0)
            #expect(bytes >= end || size == 0)
            bytes.initializeMemory(as: UInt8.self, repeating: 0xAA, count: size)
            end = bytes + size
        }
    }

    @Test func aWarmArenaStaysInItsFirstBlock() throws {
        let arena = Arena(capacity: 64)
        defer { arena.destroy() }
        for _ in 0..<10 { _ = try #require(arena.allocate(byteCount: 100)) }
        arena.reset()
        let first = try #require(arena.allocate(byteCount: 100))
        for index in 1..<10 {
            #expect(arena.allocate(byteCount: 100) == first + 112 * index)
        }
        arena.reset()
        #expect(arena.allocate(byteCount: 100) == first)
    }

    @Test func theFirstBlockDoesNotGrowWithoutBound() throws {
        let arena = Arena(capacity: 64)
        defer { arena.destroy() }
        _ = try #require(arena.allocate(byteCount: 1 << 20))
        arena.reset()
        #expect(arena.state.pointee.capacity == Arena.maxRetainedCapacity)
    }

    @Test func theLimitHolds() throws {
        let arena = Arena(capacity: 64, limit: 1000)
        defer { arena.destroy() }
        #expect(arena.allocate(byteCount: 1001) == nil)
        #expect(arena.allocate(byteCount: .max) == nil)
        #expect(arena.allocate(byteCount: .max - 7) == nil)
        var bytes = 0
        while arena.allocate(byteCount: 16) != nil { bytes += 16 }
        #expect(bytes >= 1000 && bytes <= 1000 + 64 + 16)
        arena.reset()
        #expect(arena.allocate(byteCount: 900) != nil)
    }

    @Test func requiredMemoryGoesBeyondTheLimitAndSaysSo() {
        let arena = Arena(capacity: 64, limit: 100)
        defer { arena.destroy() }
        _ = arena.require(byteCount: 90)
        #expect(!arena.isExhausted)
        arena.require(byteCount: 5000).initializeMemory(as: UInt8.self, repeating: 1, count: 5000)
        #expect(arena.isExhausted)
        #expect(arena.allocate(byteCount: 5000) == nil)
        arena.reset()
        #expect(!arena.isExhausted)
    }

    /// Values are coded in an arena that each thread keeps.
    @Test func valuesAreCodedOnManyThreads() async throws {
        let message = QNode(value: "root", children: (0..<200).map { QNode(value: "a child of some length, \($0)") })
        let encoded = message.encoded()
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<16 {
                group.addTask { (0..<20).allSatisfy { _ in (try? QNode(decoding: encoded)) == message } }
            }
            for await isSame in group { #expect(isSame) }
        }
        #expect(decodingError(QNode.self, encoded, limits: DecodeLimits(memory: 1000))?.code == .tooLarge)
        #expect(message.encoded() == encoded)
    }

    /// The leak sanitizer looks at what the thread left behind.
    @Test func theArenaOfAThreadGoesWithIt() {
        var thread = pthread_t()
        #expect(pthread_create(&thread, nil, codeAMessage, nil) == 0)
        #expect(pthread_join(thread, nil) == 0)
    }
}

private func codeAMessage(_: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    precondition(!QNode(value: "coded on a thread of its own").encoded().isEmpty)
    return nil
}
