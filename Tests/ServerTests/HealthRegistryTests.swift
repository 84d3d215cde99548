import FletchEventLoop
import Testing

@testable import FletchServer

@Suite struct HealthRegistryTests {
    private let registry = HealthRegistry()

    @Test func tellsTheStatusAtOnceAndEveryChange() async {
        registry.set("a", .serving)
        var updates = registry.watch("a").makeAsyncIterator()
        #expect(await updates.next() == .some(.serving))
        registry.set("b", .notServing)
        registry.set("a", .serving)
        registry.set("a", .notServing)
        #expect(await updates.next() == .some(.notServing))
        registry.set("a", .serving)
        #expect(await updates.next() == .some(.serving))
    }

    @Test func followsAServiceThatIsNotKnownYet() async {
        var updates = registry.watch("a").makeAsyncIterator()
        #expect(await updates.next() == .some(nil))
        registry.register(["a", "b"])
        #expect(await updates.next() == .some(.serving))
    }

    @Test func keepsTheLatestForWhoIsSlow() async {
        var updates = registry.watch("a").makeAsyncIterator()
        for _ in 0..<1000 {
            registry.set("a", .notServing)
            registry.set("a", .serving)
        }
        #expect(await updates.next() == .some(.serving))
    }

    @Test func saysNotServingBeforeItEnds() async {
        registry.set("a", .serving)
        var known = registry.watch("a").makeAsyncIterator()
        var unknown = registry.watch("b").makeAsyncIterator()
        registry.beginDrain()
        registry.set("a", .serving)
        registry.endWatches()
        #expect(await known.next() == .some(.notServing))
        #expect(await known.next() == nil)
        #expect(await unknown.next() == .some(nil))
        #expect(await unknown.next() == nil)

        var late = registry.watch("a").makeAsyncIterator()
        #expect(await late.next() == .some(.notServing))
        #expect(await late.next() == nil)
    }

    @Test func forgetsWhoWatchesNoMore() async {
        let task = Task {
            for await _ in registry.watch("a") {}
        }
        while registry.watcherCount == 0 { await Task.yield() }
        task.cancel()
        await task.value
        #expect(registry.watcherCount == 0)
    }
}
