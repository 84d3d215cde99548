internal import ArgumentParser
internal import FletchInterceptors
internal import Logging
internal import FletchRPC
internal import FletchServer
internal import Services

/// What `fletch serve` watches of its calls, and what it grants to them.
struct CallArguments: ParsableArguments {
    @Flag(help: "Log a line for each call, up to 100 a second for each loop.")
    var accessLog = false

    @Flag(help: "Measure the calls of each method; SIGUSR1 logs the figures.")
    var metrics = false

    @Option(
        help: ArgumentHelp(
            "Ask callers for one of the bearer tokens in a file, one a line; read again at SIGHUP. Health and reflection stay open.",
            valueName: "file"))
    var authTokenFile: String?

    @Option(help: ArgumentHelp("Calls a second that one client address may make on each loop.", valueName: "calls"))
    var maxCallsPerSecond: Int?

    @Option(
        help: ArgumentHelp("Calls that one client address may have under way on each loop.", valueName: "calls"))
    var maxConcurrentCalls: Int?

    @Option(
        help: ArgumentHelp(
            "Bytes that all calls may hold in requests and unsent answers before further ones are shed; shared out over the loops.",
            valueName: "bytes"))
    var maxBytesInFlight: Int?

    @Option(
        help: ArgumentHelp("The largest request of a method; may be repeated.", valueName: "method=bytes"))
    var maxRequestBytes: [String] = []

    func validate() throws {
        for (flag, value) in [
            ("--max-calls-per-second", maxCallsPerSecond), ("--max-concurrent-calls", maxConcurrentCalls),
            ("--max-bytes-in-flight", maxBytesInFlight),
        ] {
            guard value ?? 1 > 0 else { throw ValidationError("\(flag) must be at least 1") }
        }
        _ = try requestLimits
    }

    /// Request limits by path.
    private var requestLimits: [String: Int] {
        get throws {
            var limits: [String: Int] = [:]
            for text in maxRequestBytes {
                let parts = text.split(separator: "=", omittingEmptySubsequences: false)
                guard parts.count == 2, let bytes = Int(parts[1]), bytes > 0,
                    RelatedProductsServing.paths.contains(String(parts[0]))
                else {
                    let example = RelatedProductsServing.paths[0]
                    throw ValidationError(
                        "--max-request-bytes '\(text)': not a method of this server and a number; write for example "
                            + "\(example)=65536")
                }
                limits[String(parts[0])] = bytes
            }
            return limits
        }
    }

    /// The limits of calls, given the number of loops.
    func limits(loops: Int) throws -> CallLimits {
        var limits = CallLimits()
        limits.maxRequestBytesByPath = try requestLimits
        limits.maxBytesInFlight = maxBytesInFlight ?? limits.maxBytesInFlight
        let least = loops * limits.maxRequestBytes
        guard maxBytesInFlight ?? least >= least else {
            throw CommandError(
                "--max-bytes-in-flight must be at least \(least): \(loops) loops with a request of \(limits.maxRequestBytes) each"
            )
        }
        return limits
    }

    /// What makes the interceptors of a loop. Limits come before authentication, so that guesses at tokens are limited,
    /// too.
    /// - Parameter measuring: Interceptors of a loop that add metrics of their own.
    func interceptors(
        logger: Logger, measuring: @escaping @Sendable (Int) -> [Interceptor]
    ) throws -> @Sendable (Int) -> [Interceptor] {
        let tokens = try authTokenFile.map { path in
            do {
                return try BearerTokenStore(path: path, logger: logger)
            } catch {
                throw CommandError("--auth-token-file \(error)")
            }
        }
        tokens?.follow()
        return { [self] loop in
            var interceptors: [Interceptor] = []
            if metrics { interceptors += [MetricsCollector()] + measuring(loop) }
            if accessLog { interceptors.append(AccessLog(logger: logger)) }
            if maxCallsPerSecond != nil || maxConcurrentCalls != nil {
                interceptors.append(
                    PeerLimits(maxCallsPerSecond: maxCallsPerSecond, maxConcurrentCalls: maxConcurrentCalls))
            }
            if let tokens { interceptors.append(BearerAuthentication(tokens)) }
            return interceptors
        }
    }
}
