/// Why a connection cannot go on. The scope is always the connection: errors of one stream are answered on it.
public struct HTTP2Error: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Kind: Sendable, Hashable {
        /// The first bytes are not the HTTP/2 client preface.
        case notHTTP2
        /// The peer breaks the protocol's rules, or asks for more than a connection may.
        case violation
        /// Memory ran out.
        case outOfMemory
        /// The library refused an operation; the connection is closed.
        case `internal`
    }

    public let kind: Kind
    public let description: String
}
