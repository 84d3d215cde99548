/// What a session tells the layer above while it reads. The calls come from within `Session.receive`, `Session.fill`
/// and `Session.close`; answering from within them is fine, closing the session is not.
///
/// A class to inherit from rather than a protocol: a call through an existential counts references, four times for
/// each request.
open class SessionDelegate {
    public init() {}

    /// All header fields of a request are in `stream.pointee.fields`.
    open func session(receivedHeadersOn stream: UnsafeMutablePointer<Stream>) {}

    /// Bytes of a request's body, valid during the call.
    open func session(received bytes: UnsafeRawBufferPointer, on stream: UnsafeMutablePointer<Stream>) {}

    /// The request is complete. Also called right after `session(receivedHeadersOn:)` where there is no body.
    open func session(receivedEndOn stream: UnsafeMutablePointer<Stream>) {}

    /// Bytes of a body that was begun with `Session.beginResponse(to:head:)` and has not ended were sent:
    /// `stream.pointee.bodyOffset` says how many.
    open func session(sentBodyOn stream: UnsafeMutablePointer<Stream>) {}

    /// The stream is over, answered or not; its memory goes back to the pool after this call.
    open func session(closed stream: UnsafeMutablePointer<Stream>) {}
}
