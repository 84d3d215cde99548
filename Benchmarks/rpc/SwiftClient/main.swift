// Unary calls of gRPC's interoperability service in a loop, for so many seconds; prints how many a second.
//   swift-client HOST:PORT TASKS SECONDS

internal import FletchClient
internal import FletchRPC
internal import InteropSchema

guard CommandLine.arguments.count == 4, let tasks = Int(CommandLine.arguments[2]),
    let seconds = Double(CommandLine.arguments[3]), tasks > 0, seconds > 0
else { fatalError("usage: swift-client HOST:PORT TASKS SECONDS") }

let channel = try Channel(to: CommandLine.arguments[1])
let client = TestServiceClient(channel)
let request = SimpleRequest(responseSize: 100, payload: Payload(body: [UInt8](repeating: 0, count: 100)))
_ = try await client.unaryCall(request)

let start = ContinuousClock.now
let end = start + .seconds(seconds)
let calls = try await withThrowingTaskGroup(of: Int.self) { group in
    for _ in 0..<tasks {
        group.addTask {
            var calls = 0
            while ContinuousClock.now < end {
                _ = try await client.unaryCall(request)
                calls += 1
            }
            return calls
        }
    }
    var sum = 0
    for try await calls in group { sum += calls }
    return sum
}
print(Double(calls) / (start.duration(to: .now) / .seconds(1)))
await channel.close()
