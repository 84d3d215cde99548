internal import ArgumentParser
internal import FletchServer

/// The flags that say how long connections may live, in seconds.
struct ConnectionLifeArguments: ParsableArguments {
    @Option(help: "Seconds of silence after which a peer is sent a PING.")
    var keepaliveTime = 7200

    @Option(help: "Seconds that a peer may then stay silent before its connection is closed.")
    var keepaliveTimeout = 20

    @Option(help: "Seconds after which a connection is ended, 10 % more or less; never where not given.")
    var maxConnectionAge: Int?

    @Option(
        help:
            "Seconds that calls have to end once --max-connection-age has passed; as long as they like where not given."
    )
    var maxConnectionAgeGrace: Int?

    @Option(help: "Seconds without a call after which a connection is ended.")
    var maxConnectionIdle = 600

    @Option(help: "Seconds after SIGTERM in which health says NOT_SERVING and calls are still taken.")
    var lameDuck = 0

    @Option(help: "Seconds that calls under way have to end after SIGTERM and --lame-duck.")
    var drainTimeout = 30

    func validate() throws {
        /// A century: more is a slip of the finger.
        let century = 3_155_760_000
        try check("--keepalive-time", keepaliveTime, 1...century)
        try check("--keepalive-timeout", keepaliveTimeout, 1...century)
        try check("--max-connection-age", maxConnectionAge, 1...century)
        try check("--max-connection-age-grace", maxConnectionAgeGrace, 0...century)
        try check("--max-connection-idle", maxConnectionIdle, 1...century)
        try check("--lame-duck", lameDuck, 0...86_400)
        try check("--drain-timeout", drainTimeout, 0...86_400)
        guard maxConnectionAgeGrace == nil || maxConnectionAge != nil else {
            throw ValidationError("--max-connection-age-grace needs --max-connection-age; give both or neither")
        }
    }

    func apply(to configuration: inout ServerConfiguration) {
        configuration.keepalive.time = .seconds(keepaliveTime)
        configuration.keepalive.timeout = .seconds(keepaliveTimeout)
        configuration.age.limit = maxConnectionAge.map { .seconds($0) }
        configuration.age.grace = maxConnectionAgeGrace.map { .seconds($0) }
        configuration.idleTimeout = .seconds(maxConnectionIdle)
        configuration.lameDuckDelay = .seconds(lameDuck)
        configuration.drainTimeout = .seconds(drainTimeout)
    }

    private func check(_ flag: String, _ seconds: Int?, _ range: ClosedRange<Int>) throws {
        guard let seconds, !range.contains(seconds) else { return }
        throw ValidationError("\(flag) must be between \(range.lowerBound) and \(range.upperBound) seconds")
    }
}
