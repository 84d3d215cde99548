import FletchRPC
import FletchRichErrors

/// What the calls of all loops and both versions share.
actor GuestBook {
    private var count: Int64 = 0

    func next() -> Int64 {
        count += 1
        return count
    }
}

/// The service as it is today. There is one implementation, of the newest schema; older ones are adapters on it.
struct GreeterV2: Example_V2_GreeterAsyncService {
    private let book = GuestBook()

    func greet(_ request: Example_V2_GreetRequest, _ call: AsyncCall) async throws -> Example_V2_GreetResponse {
        guard let person = request.person, !person.givenName.isEmpty else {
            throw RPCError(
                .invalidArgument, "person.given_name is empty: say whom to greet",
                details: [.badRequest(["person.given_name"], "must not be empty")])
        }
        // A caller with a newer schema may ask for a tone that is not known here.
        let tone: Example_V2_Tone = request.tone == .formal ? .formal : .casual
        let name = person.familyName.isEmpty ? person.givenName : "\(person.givenName) \(person.familyName)"
        // The person goes back as it came, fields of newer schemas included.
        return Example_V2_GreetResponse(
            text: tone == .formal ? "Good day, \(name)." : "Hello, \(name)!", count: await book.next(), person: person,
            tone: tone)
    }

    func greetEach(
        _ requests: RequestStream<Example_V2_GreetRequest>, _ responses: ResponseWriter<Example_V2_GreetResponse>,
        _ call: AsyncCall
    ) async throws {
        for try await request in requests { try await responses.write(try await greet(request, call)) }
    }
}
