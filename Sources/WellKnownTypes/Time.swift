private let nanosecondsPerSecond: Int32 = 1_000_000_000
private let attosecondsPerNanosecond: Int64 = 1_000_000_000

extension Google_Protobuf_Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z of 0001-01-01T00:00:00Z and of the last second of the year 9999
    /// (timestamp.proto).
    public static let secondsRange: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

    /// Whether `seconds` is in ``secondsRange`` and `nanos` in 0 to 999,999,999.
    public var isValid: Bool {
        Self.secondsRange.contains(seconds) && (0..<nanosecondsPerSecond).contains(nanos)
    }

    /// The time that is `duration` after 1970-01-01T00:00:00Z, rounded down to a nanosecond; nil outside the years
    /// 1 to 9999.
    public init?(sinceEpoch duration: Duration) {
        var (seconds, attoseconds) = duration.components
        // Both have one sign there; here nanoseconds count forward.
        var (nanos, rest) = attoseconds.quotientAndRemainder(dividingBy: attosecondsPerNanosecond)
        if rest < 0 { nanos -= 1 }
        if nanos < 0 {
            guard seconds > .min else { return nil }
            seconds -= 1
            nanos += Int64(nanosecondsPerSecond)
        }
        self.init(seconds: seconds, nanos: Int32(nanos))
        guard isValid else { return nil }
    }

    /// The time since 1970-01-01T00:00:00Z; nil where the message is not valid.
    public var sinceEpoch: Duration? {
        isValid ? .seconds(seconds) + .nanoseconds(Int64(nanos)) : nil
    }
}

extension Google_Protobuf_Duration {
    /// About 10,000 years, both ways (duration.proto).
    public static let secondsRange: ClosedRange<Int64> = -315_576_000_000...315_576_000_000

    /// Whether `seconds` is in ``secondsRange`` and `nanos` is less than a second and has the same sign.
    public var isValid: Bool {
        Self.secondsRange.contains(seconds) && nanos.magnitude < nanosecondsPerSecond
            && (seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0))
    }

    /// The duration rounded to a nanosecond, towards zero; nil beyond ``secondsRange``.
    public init?(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        self.init(seconds: seconds, nanos: Int32(attoseconds / attosecondsPerNanosecond))
        guard isValid else { return nil }
    }
}

extension Duration {
    /// The same time; nil where the message is not valid.
    public init?(_ message: Google_Protobuf_Duration) {
        guard message.isValid else { return nil }
        self = .seconds(message.seconds) + .nanoseconds(Int64(message.nanos))
    }
}
