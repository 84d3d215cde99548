internal import FletchRPC

/// The rule which methods are neither limited nor authenticated: those of health and reflection. Load balancers and
/// operators ask them when the server is at its limits, and they tell nothing but what the server is.
struct ExemptMethods {
    static let services = [
        "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
    ]

    /// By the methods' places, once they were asked for.
    private var verdicts: [Bool?] = []

    mutating func contains(_ call: InterceptedCall) -> Bool {
        guard let index = call.methodIndex else { return false }
        while index >= verdicts.count { verdicts.append(nil) }
        if let verdict = verdicts[index] { return verdict }
        let verdict = Self.services.contains { call.path.hasPrefix("/\($0)/") }
        verdicts[index] = verdict
        return verdict
    }
}
