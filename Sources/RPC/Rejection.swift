internal import FletchCompression
internal import FletchHTTP2

/// Why the server answers a call without its handler. Each case decides status, HTTP status and words in one place.
enum Rejection: Error, Hashable {
    case notGRPC
    case methodNotAllowed
    case unknownCodec
    case unknownService
    case unknownMethod
    case malformedTimeout
    case malformedBinaryMetadata
    case unknownEncoding(accepted: CompressionAlgorithms)
    case headersTooLarge
    case deadlineExceeded
    case requestTimedOut
    case compressedWithoutEncoding
    case invalidPrefix
    case truncatedMessage
    case messageTooLarge(bytes: UInt32, limit: Int)
    case decompressionFailed(DecompressionError)
    case noMessage
    case moreThanOneMessage
    case overloaded
    case tooManyHandlers
    case queuedTooLong
    /// What an interceptor said instead of letting the call be worked on.
    case refused(RPCError)
    case responseMissing
    case responseTooLarge

    var code: StatusCode {
        switch self {
        case .unknownCodec, .unknownService, .unknownMethod, .unknownEncoding, .noMessage, .moreThanOneMessage:
            .unimplemented
        case .deadlineExceeded, .requestTimedOut: .deadlineExceeded
        case .headersTooLarge, .messageTooLarge, .overloaded, .tooManyHandlers, .queuedTooLong, .responseTooLarge,
            .decompressionFailed(.tooLarge), .decompressionFailed(.outOfMemory):
            .resourceExhausted
        case .refused(let error): error.code
        case .notGRPC, .methodNotAllowed, .malformedTimeout, .malformedBinaryMetadata, .compressedWithoutEncoding,
            .invalidPrefix, .truncatedMessage, .decompressionFailed, .responseMissing:
            .internal
        }
    }

    var httpStatus: Int {
        switch self {
        case .notGRPC: 415
        case .methodNotAllowed: 405
        case .malformedTimeout, .malformedBinaryMetadata: 400
        case .headersTooLarge: 431
        default: 200
        }
    }

    /// The status that the caller gets.
    var error: RPCError {
        if case .refused(let error) = self { return error }
        return RPCError(code, message, retryDelayMilliseconds: retryDelayMilliseconds)
    }

    /// A field beyond the status that tells the caller what would be accepted.
    var extraField: FieldBlock.Field? {
        switch self {
        case .methodNotAllowed: .init("allow", "POST")
        case .unknownEncoding(let accepted): .init("grpc-accept-encoding", accepted.acceptEncoding)
        default: nil
        }
    }

    /// When a call that was shed may come again: a loop answers hundreds of thousands of calls in this time.
    private var retryDelayMilliseconds: UInt32? {
        switch self {
        case .overloaded, .tooManyHandlers, .queuedTooLong: 1000
        default: nil
        }
    }

    /// The HTTP/2 error code of the reset that ends a request which is still coming in.
    var resetCode: UInt32 {
        switch self {
        case .deadlineExceeded, .requestTimedOut: 8  // CANCEL
        default: 0  // NO_ERROR: the answer is whole
        }
    }

    var message: String {
        switch self {
        case .notGRPC: "content-type must be application/grpc"
        case .methodNotAllowed: "the HTTP method of a gRPC call is POST"
        case .unknownCodec: "the only message format is application/grpc+proto"
        case .unknownService: "the server has no such service"
        case .unknownMethod: "the service has no such method here; the caller's schema may be newer than the server's"
        case .malformedTimeout: "grpc-timeout must be 1 to 8 digits and one of H, M, S, m, u, n"
        case .malformedBinaryMetadata: "metadata whose name ends in -bin must be base64"
        case .unknownEncoding(let accepted): "grpc-encoding is not supported; send one of \(accepted.acceptEncoding)"
        case .headersTooLarge: "the request's header fields are larger than the server accepts"
        case .deadlineExceeded: "the deadline passed before the answer was ready"
        case .requestTimedOut: "the request did not arrive in time"
        case .compressedWithoutEncoding: "the message is marked compressed but grpc-encoding is identity"
        case .invalidPrefix: "the message's compressed flag must be 0 or 1"
        case .truncatedMessage: "the request ended inside a message"
        case .messageTooLarge(let bytes, let limit):
            "the request message has \(bytes) bytes, more than the \(limit) this method accepts"
        case .decompressionFailed(let error): "the request message cannot be decompressed: \(error.message)"
        case .noMessage: "the request holds no message; this method takes exactly one"
        case .moreThanOneMessage: "the request holds more than one message; this method takes exactly one"
        case .overloaded: "the server has too many bytes in flight; try again later"
        case .tooManyHandlers: "the server works on too many calls; try again later"
        case .queuedTooLong: "the server is too busy to begin with the call; try again later"
        case .refused(let error): error.message
        case .responseMissing: "the handler returned without a response"
        case .responseTooLarge: "the response is larger than all bytes that the server lets be in flight; ask for less"
        }
    }
}
