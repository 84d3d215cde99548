// greeter serve 127.0.0.1:50051
// greeter ask 127.0.0.1:50051 NAME

import FletchClient
import FletchEventLoop
import Glibc
import Logging
import FletchRPC
import FletchRichErrors
import FletchServer
import FletchStandardServices

/// What the calls of all loops share.
actor GuestBook {
    private var count: Int64 = 0

    func next() -> Int64 {
        count += 1
        return count
    }
}

struct GreeterHandler: GreeterAsyncService {
    let book = GuestBook()

    func greet(_ request: GreetRequest, _ call: AsyncCall) async throws -> Greeting {
        guard !request.name.isEmpty else {
            throw RPCError(
                .invalidArgument, "name is empty: say whom to greet",
                details: [.badRequest(["name"], "must not be empty")])
        }
        return Greeting(text: "Hello, \(request.name)!", count: await book.next())
    }

    func greetEach(
        _ requests: RequestStream<GreetRequest>, _ responses: ResponseWriter<Greeting>, _ call: AsyncCall
    ) async throws {
        for try await request in requests { try await responses.write(try await greet(request, call)) }
    }
}

func serve(_ address: String) throws {
    let logger = Logger(label: "greeter", factory: { StreamLogHandler.standardError(label: $0) })
    let handler = GreeterHandler()
    let configuration = ServerConfiguration(address: try ListenAddress(address))
    let server = Server(configuration, logger: logger) { _ in Greeter.methods(handler) }
    server.add([.health, .reflection])
    for address in try server.start() { print("listening on \(address)") }
    fflush(nil)
    server.wait()
}

func ask(_ target: String, _ name: String) async throws {
    let channel = try Channel(to: target)
    let client = GreeterClient(channel)
    print(try await client.greet(GreetRequest(name: name), options: CallOptions(timeout: .seconds(1))).text)
    await channel.close()
}

let arguments = CommandLine.arguments.dropFirst()
switch arguments.first {
case "serve" where arguments.count == 2: try serve(arguments[2])
case "ask" where arguments.count == 3: try await ask(arguments[2], arguments[3])
default: print("usage: greeter serve ADDRESS | greeter ask ADDRESS NAME")
}
