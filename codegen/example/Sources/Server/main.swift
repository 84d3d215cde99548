// greeter serve ADDRESS [v1] [v2]      serves the versions that are named; both where none is
// greeter ask ADDRESS GIVEN_NAME [FAMILY_NAME]

import FletchClient
import FletchEventLoop
import FletchInterceptors
import FletchRPC
import FletchServer
import FletchStandardServices
import Glibc
import Logging

func serve(_ address: String, versions: Set<String>) throws {
    let logger = Logger(label: "greeter", factory: { StreamLogHandler.standardError(label: $0) })
    let greeter = GreeterV2()
    // The access log says of each call which version it was of.
    let server = Server(
        ServerConfiguration(address: try ListenAddress(address)), logger: logger,
        interceptors: { _ in [AccessLog(logger: logger), MetricsCollector()] },
        makeMethods: { _ in
            (versions.contains("v1") ? Example_V1_Greeter.methods(GreeterV1(greeter: greeter)) : [])
                + (versions.contains("v2") ? Example_V2_Greeter.methods(greeter) : [])
        })
    server.add([.health, .reflection])
    for address in try server.start() { print("listening on \(address)") }
    fflush(nil)
    server.wait()
}

func ask(_ target: String, _ person: Example_V2_Person) async throws {
    let channel = try Channel(to: target)
    let client = Example_V2_GreeterClient(channel)
    let options = CallOptions(timeout: .seconds(10))
    print(try await client.greet(Example_V2_GreetRequest(person: person), options: options).text)
    await channel.close()
}

let arguments = Array(CommandLine.arguments.dropFirst())
switch (arguments.first, arguments.count) {
case ("serve", 2): try serve(arguments[1], versions: ["v1", "v2"])
case ("serve", 3...) where Set(arguments[2...]).isSubset(of: ["v1", "v2"]):
    try serve(arguments[1], versions: Set(arguments[2...]))
case ("ask", 3...4):
    let familyName = arguments.count > 3 ? arguments[3] : ""
    try await ask(arguments[1], Example_V2_Person(givenName: arguments[2], familyName: familyName))
default: print("usage: greeter serve ADDRESS [v1] [v2] | greeter ask ADDRESS GIVEN_NAME [FAMILY_NAME]")
}
