import FletchRPC
import ScriptedPeer
import Testing

/// The answer to requests that are no calls, off unless a server's owner wants it.
@Suite struct PlainEndpointTests {
    static let requests: [[(String, String?)]] = [
        [(":method", "GET"), ("content-type", nil)], [("content-type", nil)], [("content-type", "text/html")],
    ]

    @Test(arguments: requests) func answersAPlainRequest(_ change: [(String, String?)]) {
        let harness = Harness(plainEndpoint: true)
        harness.send(headersFrame(stream: 1, requestFields("/", replacing: change), end: true))
        harness.send(headersFrame(stream: 3, requestFields("/", replacing: change)))
        #expect(harness.response(3).httpStatus == nil)
        harness.send(dataFrame(stream: 3, [1, 2, 3]))
        for response in [harness.response(1), harness.response(3)] {
            #expect(response.httpStatus == "200" && response["content-type"] == "text/plain")
            #expect(String(decoding: response.data, as: UTF8.self) == "This is a gRPC server.\n")
            #expect(response.ended && response.resetCode == nil && response.status == nil)
            #expect(response["content-length"] == String(response.data.count))
        }
        #expect(harness.connection.openCallCount == 0 && harness.connection.nextExpiry == nil)
    }

    @Test(arguments: requests) func rejectsItByDefault(_ change: [(String, String?)]) {
        let harness = Harness()
        harness.send(headersFrame(stream: 1, requestFields("/", replacing: change), end: true))
        #expect(["405", "415"].contains(harness.response().httpStatus))
    }

    @Test func leavesAllElseAsItIs() {
        let harness = Harness(plainEndpoint: true)
        harness.send(unaryCall(stream: 1, "/"))
        #expect(harness.response(1).status == Int(StatusCode.unimplemented.rawValue))
        harness.send(unaryCall(stream: 3, "/other", replacing: [(":method", "GET")]))
        #expect(harness.response(3).httpStatus == "405")
        harness.send(unaryCall(stream: 5, "/", replacing: [(":method", "HEAD")]))
        #expect(harness.response(5).httpStatus == "405")
        harness.send(unaryCall(stream: 7, "/test.Echo/Echo", [7]))
        #expect(harness.response(7).message == [7])
    }

    @Test func doesNotWaitForever() {
        let harness = Harness(plainEndpoint: true)
        harness.send(headersFrame(stream: 1, requestFields("/", replacing: [("content-type", nil)])))
        harness.clock.now += CallLimits().requestTimeout + 1
        harness.connection.expireCalls()
        harness.read()
        #expect(harness.response().ended && harness.connection.openCallCount == 0)
    }
}
