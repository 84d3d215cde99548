internal import RPC
internal import Schema
internal import ServiceSchema

/// grpc.health.v1.Health over the registry.
struct HealthChecks: HealthValueService {
    let registry: HealthRegistry

    func check(_ request: HealthCheckRequest, _ call: UnaryCall) throws(RPCError) -> HealthCheckResponse {
        switch registry[request.service] {
        case .serving: HealthCheckResponse(status: .serving)
        case .notServing: HealthCheckResponse(status: .notServing)
        case nil: throw RPCError(.notFound, "the server has no service '\(request.service)'")
        }
    }
}
