internal import ArgumentParser
internal import FletchHTTP2
internal import FletchRPC
internal import FletchServer

/// What `serve` grants to its peers, as far as an operator sets it; LIMITS.md has all of it.
struct LimitArguments: ParsableArguments {
    @Option(help: "Connections that each event loop holds at once; further ones are closed.")
    var maxConnections: Int?

    @Option(help: "Calls that a connection may have open at once.")
    var maxStreams: Int?

    @Option(help: "Seconds from a connection's begin to its HTTP/2 preface.")
    var prefaceTimeout: Int?

    @Option(help: "Seconds from the begin of a call's header fields to their end.")
    var headersTimeout: Int?

    @Option(help: "Seconds from the begin of a call to the end of its request, where its deadline is not sooner.")
    var requestTimeout: Int?

    @Option(help: "Seconds that a peer may take nothing of what is sent to it.")
    var stallTimeout: Int?

    func validate() throws {
        try check(maxConnections, "--max-connections", 1...1_000_000)
        try check(maxStreams, "--max-streams", 1...1_000_000)
        let seconds = 1...31_536_000
        try check(prefaceTimeout, "--preface-timeout", seconds, unit: " seconds")
        try check(headersTimeout, "--headers-timeout", seconds, unit: " seconds")
        try check(requestTimeout, "--request-timeout", seconds, unit: " seconds")
        try check(stallTimeout, "--stall-timeout", seconds, unit: " seconds")
    }

    private func check(_ value: Int?, _ flag: String, _ range: ClosedRange<Int>, unit: String = "") throws {
        guard let value, !range.contains(value) else { return }
        throw ValidationError("\(flag) must be between \(range.lowerBound) and \(range.upperBound)\(unit)")
    }

    func apply(to configuration: inout ServerConfiguration) {
        if let maxConnections { configuration.maxConnectionsPerLoop = maxConnections }
        if let maxStreams { configuration.connectionLimits.maxConcurrentStreams = UInt32(maxStreams) }
        if let prefaceTimeout { configuration.prefaceTimeout = .seconds(prefaceTimeout) }
        if let headersTimeout { configuration.headersTimeout = .seconds(headersTimeout) }
        if let requestTimeout { configuration.callLimits.requestTimeout = UInt64(requestTimeout) * 1_000_000_000 }
        if let stallTimeout { configuration.stallTimeout = .seconds(stallTimeout) }
    }
}
