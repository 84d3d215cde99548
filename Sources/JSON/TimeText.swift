/// Seconds and nanoseconds, as `google.protobuf.Timestamp` and `Duration` have them.
struct TimeParts: Equatable {
    var seconds: Int64
    var nanos: Int32
}

/// `google.protobuf.Timestamp` in JSON: RFC 3339, `2026-01-31T12:00:00.500Z`.
enum TimestampText {
    private static let secondsRange: ClosedRange<Int64> = -62_135_596_800...253_402_300_799
    private static let secondsPerDay: Int64 = 86_400

    /// Nil outside the years 1 to 9999, or where the nanoseconds are not 0 to 999,999,999.
    static func print(_ time: TimeParts) -> String? {
        guard secondsRange.contains(time.seconds), (0..<1_000_000_000).contains(time.nanos) else { return nil }
        let day = (time.seconds - (time.seconds < 0 ? secondsPerDay - 1 : 0)) / secondsPerDay
        let second = time.seconds - day * secondsPerDay
        let date = Date(day: day)
        return "\(padded(date.year, 4))-\(padded(date.month, 2))-\(padded(date.day, 2))"
            + "T\(padded(second / 3600, 2)):\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))"
            + fraction(UInt32(time.nanos)) + "Z"
    }

    /// Nil where the text is not RFC 3339 with a capital T and Z, or the time is outside the years 1 to 9999.
    static func parse(_ text: [UInt8]) -> TimeParts? {
        var rest = text[...]
        guard let year = number(&rest, digits: 4), skip("-", &rest), let month = number(&rest, digits: 2),
            skip("-", &rest), let day = number(&rest, digits: 2), skip("T", &rest),
            let hour = number(&rest, digits: 2), skip(":", &rest), let minute = number(&rest, digits: 2),
            skip(":", &rest), let second = number(&rest, digits: 2), let nanos = nanos(&rest),
            let offset = offset(&rest), rest.isEmpty,
            let date = Date(year: year, month: month, day: day), hour < 24, minute < 60, second < 60
        else { return nil }
        let seconds = date.dayNumber * secondsPerDay + hour * 3600 + minute * 60 + second - offset
        return secondsRange.contains(seconds) ? TimeParts(seconds: seconds, nanos: nanos) : nil
    }

    /// Seconds east of UTC.
    private static func offset(_ rest: inout ArraySlice<UInt8>) -> Int64? {
        if skip("Z", &rest) { return 0 }
        let isEast = skip("+", &rest)
        guard isEast || skip("-", &rest), let hours = number(&rest, digits: 2), hours < 24, skip(":", &rest),
            let minutes = number(&rest, digits: 2), minutes < 60
        else { return nil }
        return (isEast ? 1 : -1) * (hours * 3600 + minutes * 60)
    }
}

/// `google.protobuf.Duration` in JSON: `-1.500s`.
enum DurationText {
    private static let secondsRange: ClosedRange<Int64> = -315_576_000_000...315_576_000_000

    /// Nil beyond 10,000 years, or where the nanoseconds are a second or more or of the other sign.
    static func print(_ time: TimeParts) -> String? {
        let haveOneSign = time.seconds == 0 || time.nanos == 0 || (time.seconds < 0) == (time.nanos < 0)
        guard secondsRange.contains(time.seconds), time.nanos.magnitude < 1_000_000_000, haveOneSign else { return nil }
        let sign = time.seconds < 0 || time.nanos < 0 ? "-" : ""
        return "\(sign)\(time.seconds.magnitude)\(fraction(time.nanos.magnitude))s"
    }

    /// Nil where the text is not a decimal number with at most nine digits of a fraction and an `s`, or is beyond
    /// 10,000 years.
    static func parse(_ text: [UInt8]) -> TimeParts? {
        var rest = text[...]
        let sign: Int64 = skip("-", &rest) ? -1 : 1
        // More digits than the range has might overflow.
        let digits = rest.prefix(while: isDigit)
        guard (1...12).contains(digits.count), let magnitude = number(&rest, digits: digits.count),
            let nanos = nanos(&rest), skip("s", &rest), rest.isEmpty, secondsRange.contains(sign * magnitude)
        else { return nil }
        return TimeParts(seconds: sign * magnitude, nanos: Int32(sign) * nanos)
    }
}

/// A day of the proleptic Gregorian calendar.
private struct Date {
    let year: Int64
    let month: Int64
    let day: Int64

    private static let daysPerEra: Int64 = 146_097
    private static let yearsPerEra: Int64 = 400
    /// Of 1970-01-01, counted from 0000-03-01: years that begin in March have their leap day at their end.
    private static let epoch: Int64 = 719_468

    /// Nil where the month has no such day.
    init?(year: Int64, month: Int64, day: Int64) {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths: [Int64] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...12).contains(month), (1...lengths[Int(month) - 1]).contains(day) else { return nil }
        (self.year, self.month, self.day) = (year, month, day)
    }

    /// - Parameter day: Days since 1970-01-01, not before year 0.
    init(day: Int64) {
        let (era, dayOfEra) = (day + Self.epoch).quotientAndRemainder(dividingBy: Self.daysPerEra)
        let leapDays = dayOfEra / 1460 - dayOfEra / 36_524 + dayOfEra / 146_096
        let yearOfEra = (dayOfEra - leapDays) / 365
        let dayOfYear = dayOfEra - Self.days(years: yearOfEra)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        self.day = dayOfYear - Self.days(months: monthFromMarch) + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = era * Self.yearsPerEra + yearOfEra + (month <= 2 ? 1 : 0)
    }

    /// Days since 1970-01-01.
    var dayNumber: Int64 {
        let yearFromMarch = year - (month <= 2 ? 1 : 0) + Self.yearsPerEra
        let (era, yearOfEra) = yearFromMarch.quotientAndRemainder(dividingBy: Self.yearsPerEra)
        let dayOfYear = Self.days(months: month > 2 ? month - 3 : month + 9) + day - 1
        return (era - 1) * Self.daysPerEra + Self.days(years: yearOfEra) + dayOfYear - Self.epoch
    }

    /// Of whole years since an era's beginning.
    private static func days(years: Int64) -> Int64 { 365 * years + years / 4 - years / 100 }
    /// Of whole months since March.
    private static func days(months: Int64) -> Int64 { (153 * months + 2) / 5 }
}

/// Nothing, or a point and 3, 6 or 9 digits.
private func fraction(_ nanos: UInt32) -> String {
    switch nanos {
    case 0: ""
    case _ where nanos % 1_000_000 == 0: "." + padded(Int64(nanos / 1_000_000), 3)
    case _ where nanos % 1000 == 0: "." + padded(Int64(nanos / 1000), 6)
    default: "." + padded(Int64(nanos), 9)
    }
}

private func padded(_ number: Int64, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
}

/// The nanoseconds of a fraction of one to nine digits; 0 where there is none, nil where it is broken.
private func nanos(_ rest: inout ArraySlice<UInt8>) -> Int32? {
    guard skip(".", &rest) else { return 0 }
    let digits = rest.prefix(while: isDigit).count
    guard (1...9).contains(digits), let number = number(&rest, digits: digits) else { return nil }
    return (digits..<9).reduce(Int32(number)) { nanos, _ in nanos * 10 }
}

private func number(_ rest: inout ArraySlice<UInt8>, digits: Int) -> Int64? {
    let text = rest.prefix(digits)
    guard text.count == digits, text.allSatisfy(isDigit) else { return nil }
    rest = rest.dropFirst(digits)
    return text.reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
}

private func skip(_ character: Unicode.Scalar, _ rest: inout ArraySlice<UInt8>) -> Bool {
    guard rest.first == UInt8(ascii: character) else { return false }
    rest.removeFirst()
    return true
}
