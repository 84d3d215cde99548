internal import FletchRPC
internal import FletchSchema
internal import FletchServer
internal import FletchServiceSchema

/// grpc.health.v1.Health over the registry.
struct HealthChecks: HealthValueService {
    let registry: HealthRegistry

    func check(_ request: HealthCheckRequest, _ call: UnaryCall) throws(RPCError) -> HealthCheckResponse {
        guard let status = registry[request.service] else {
            throw RPCError(.notFound, "the server has no service '\(request.service)'")
        }
        return HealthCheckResponse(status)
    }

    func list(_ request: HealthListRequest, _ call: UnaryCall) throws(RPCError) -> HealthListResponse {
        HealthListResponse(statuses: registry.all.mapValues { HealthCheckResponse($0) })
    }

    func watch(
        _ request: HealthCheckRequest, _ responses: ResponseWriter<HealthCheckResponse>, _ call: AsyncCall
    ) async throws {
        var last: HealthCheckResponse?
        for await status in registry.watch(request.service) {
            let response = HealthCheckResponse(status)
            guard response != last else { continue }
            try await responses.write(response)
            last = response
        }
        try Task.checkCancellation()
        throw RPCError(.unavailable, "the server is shutting down")
    }
}

extension HealthCheckResponse {
    /// nil: a service that the server does not know.
    fileprivate init(_ status: HealthStatus?) {
        switch status {
        case .serving: self.init(status: .serving)
        case .notServing: self.init(status: .notServing)
        case nil: self.init(status: .serviceUnknown)
        }
    }
}
