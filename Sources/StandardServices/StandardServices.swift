internal import FletchRPC
public import FletchServer
internal import FletchServiceSchema

/// The services that gRPC's tools expect of a server.
public struct StandardServices: OptionSet, Sendable {
    public let rawValue: Int

    public init(rawValue: Int) { self.rawValue = rawValue }

    /// grpc.health.v1: whether the server, its services and what else has a status are serving.
    public static let health = StandardServices(rawValue: 1)
    /// grpc.reflection v1 and v1alpha: the schemas of all services that have one. For a server whose schemas may be
    /// known to all who reach it.
    public static let reflection = StandardServices(rawValue: 2)
    /// grpc.channelz.v1: the server's counts and its connections. It tells every caller who the others are: for a
    /// server that only operators reach, or while something is being looked for.
    public static let channelz = StandardServices(rawValue: 4)
}

extension Server {
    /// Serves `services` beside the server's own; before it starts.
    public func add(_ services: StandardServices) {
        addMethods { [unowned self] _, own in
            var methods: [Method] = []
            if services.contains(.health) { methods += Health.methods(HealthChecks(registry: health)) }
            if services.contains(.channelz) { methods += Grpc_Channelz_V1_Channelz.methods(Channelz(server: self)) }
            if services.contains(.reflection) { methods += Reflection.methods(of: own + methods) }
            return methods
        }
    }
}
