import FletchRPC
import FletchRichErrors

/// `example.v1` for callers that have not moved: each of its calls is one of `example.v2`, and its errors speak of its
/// own fields.
struct GreeterV1: Example_V1_GreeterAsyncService {
    let greeter: GreeterV2

    func greet(_ request: Example_V1_GreetRequest, _ call: AsyncCall) async throws -> Example_V1_Greeting {
        guard !request.name.isEmpty else {
            throw RPCError(
                .invalidArgument, "name is empty: say whom to greet",
                details: [.badRequest(["name"], "must not be empty")])
        }
        let person = Example_V2_Person(givenName: request.name)
        let response = try await greeter.greet(Example_V2_GreetRequest(person: person), call)
        return Example_V1_Greeting(text: response.text, count: response.count)
    }

    func greetEach(
        _ requests: RequestStream<Example_V1_GreetRequest>, _ responses: ResponseWriter<Example_V1_Greeting>,
        _ call: AsyncCall
    ) async throws {
        for try await request in requests { try await responses.write(try await greet(request, call)) }
    }
}
