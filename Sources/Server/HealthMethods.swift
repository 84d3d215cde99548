internal import RPC
internal import Wire

/// grpc.health.v1.Health/Check over the registry.
func healthMethods(_ registry: HealthRegistry) -> [UnaryMethod] {
    [
        UnaryMethod(path: "/grpc.health.v1.Health/Check", maxRequestBytes: 4096) { call throws(RPCError) in
            guard let service = serviceName(call.request) else { throw RPCError(.internal, "the request is malformed") }
            guard let status = registry[service] else {
                throw RPCError(.notFound, "the server has no service '\(service)'")
            }
            guard let memory = call.arena.allocate(byteCount: 7) else {
                throw RPCError(.resourceExhausted, "no memory for the response")
            }
            memory.storeBytes(of: 0x08, toByteOffset: 5, as: UInt8.self)
            memory.storeBytes(of: status.rawValue, toByteOffset: 6, as: UInt8.self)
            call.respond(UnsafeMutableRawBufferPointer(start: memory + 5, count: 2))
        }
    ]
}

private func serviceName(_ request: UnsafeRawBufferPointer) -> String? {
    guard request.count > 0 else { return "" }
    guard request.count >= 2, request[0] == 0x0A, Int(request[1]) == request.count - 2 else { return nil }
    return String(decoding: request.dropFirst(2), as: UTF8.self)
}
