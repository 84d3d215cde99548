// Answers for Fletch: decodes each message with both faces and encodes it again. `messageTypes` is written by the tests.

internal import FletchJSON
internal import FletchWire

serve(typeNames: messageTypes.map { $0.descriptor.name }) { type, message in answer(messageTypes[type], message) }

private func answer<M: Message>(_ type: M.Type, _ message: [UInt8]) -> Answer {
    let value: M
    do {
        value = try M(decoding: message)
    } catch {
        return .refused(reason: "\(error.code): \(error)")
    }
    let arena = Arena()
    defer { arena.destroy() }
    guard let view = try? message.withUnsafeBytes({ try M.View(decoding: $0, in: arena) }) else {
        return .accepted(encodings: [value.encoded()], brokenLaws: ["the view refuses what the value accepts"])
    }
    let json = (try? value.jsonUTF8Bytes()) ?? []
    return .accepted(
        encodings: [value.encoded(), view.encoded(), json, (try? M(jsonUTF8Bytes: json))?.encoded() ?? []],
        brokenLaws: brokenLaws(value, view, message))
}

/// What must hold of every message; those laws that need equality do not where it holds a NaN, which the tests know.
private func brokenLaws<M: Message>(_ value: M, _ view: M.View, _ message: [UInt8]) -> [String] {
    var broken: [String] = []
    func expect(_ holds: Bool, _ law: String) { if !holds { broken.append(law) } }
    let encoded = value.encoded()
    expect(M(view).encoded() == encoded, "the view's value encodes otherwise")
    expect((try? M(decoding: view.encoded()))?.encoded() == encoded, "the view's encoding has another value")
    guard let again = try? M(decoding: encoded) else { return broken + ["does not decode its own encoding"] }
    expect(again.encoded() == encoded, "encoding is not stable")
    expect(again == value, "not equal after a round trip")
    expect(again.hashValue == value.hashValue, "another hash after a round trip")
    expect(M() == value || !encoded.isEmpty, "encodes as nothing, yet is not the default")

    let arena = Arena()
    defer { arena.destroy() }
    let builder = M.Builder(in: arena)
    value.copy(into: builder)
    let inArena = builder.encodedInArena(headroom: 5)
    expect(inArena.map { Array($0) } == encoded, "the builder encodes otherwise in its arena")
    return broken
}
