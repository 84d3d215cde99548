public import FletchRPC
internal import FletchRichErrors

/// Answers calls without a known bearer token (RFC 6750: `authorization: Bearer TOKEN`) with UNAUTHENTICATED. Methods
/// of health and reflection need none.
///
/// A token is as secret as the connection: use it over TLS.
public final class BearerAuthentication: Interceptor {
    private static let missing = RPCError(
        .unauthenticated, "a bearer token is missing; send it as metadata 'authorization: Bearer TOKEN'",
        details: [.errorInfo("TOKEN_MISSING")])
    private static let unknown = RPCError(
        .unauthenticated, "the bearer token is not known to the server", details: [.errorInfo("TOKEN_UNKNOWN")])

    private let store: BearerTokenStore
    private var tokens: BearerTokens
    private var exchangeCount: Int
    private var exempt = ExemptMethods()

    public init(_ store: BearerTokenStore) {
        self.store = store
        exchangeCount = store.exchangeCount
        tokens = store.tokens
    }

    public override func callStarted(_ call: InterceptedCall) throws(RPCError) {
        guard !exempt.contains(call) else { return }
        guard let token = call.metadata.bytes("authorization").flatMap(Self.bearerToken) else { throw Self.missing }
        if exchangeCount != store.exchangeCount {
            exchangeCount = store.exchangeCount
            tokens = store.tokens
        }
        guard tokens.contains(token) else { throw Self.unknown }
    }

    /// What follows the scheme, whose letters may be of either case (RFC 9110, 11.1).
    private static func bearerToken(_ value: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        let scheme: StaticString = "bearer "
        let count = scheme.utf8CodeUnitCount
        guard value.count > count else { return nil }
        for index in 0..<count {
            let byte = value[index]
            let isUpper = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            guard (isUpper ? byte | 0x20 : byte) == scheme.utf8Start[index] else { return nil }
        }
        return UnsafeRawBufferPointer(rebasing: value[count...])
    }
}
