import FletchRPC
import FletchRichErrors

/// `example.v1` for callers that have not moved: each of its calls is one of `example.v2`, and its errors speak of its
/// own fields.
struct GreeterV1: Example_V1_GreeterAsyncService {
    let greeter: GreeterV2

    func greet(_ request: Example_V1_GreetRequest, _ call: AsyncCall) async throws -> Example_V1_Greeting {
        Self.response(try await greeter.greet(try Self.request(request), call))
    }

    func greetEach(
        _ requests: RequestStream<Example_V1_GreetRequest>, _ responses: ResponseWriter<Example_V1_Greeting>,
        _ call: AsyncCall
    ) async throws {
        try await greeter.greetEach(requests.map(Self.request), responses.map(Self.response), call)
    }

    /// What a caller of v1 asks for, in the words of v2.
    private static func request(_ request: Example_V1_GreetRequest) throws(RPCError) -> Example_V2_GreetRequest {
        guard !request.name.isEmpty else {
            throw RPCError(
                .invalidArgument, "name is empty: say whom to greet",
                details: [.badRequest(["name"], "must not be empty")])
        }
        return Example_V2_GreetRequest(person: Example_V2_Person(givenName: request.name))
    }

    /// What v2 answers, in the words of v1.
    private static func response(_ response: Example_V2_GreetResponse) -> Example_V1_Greeting {
        Example_V1_Greeting(text: response.text, count: response.count)
    }
}
