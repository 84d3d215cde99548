// Publishes a small table, for tests that stop a publisher:
//   publisher STORE kill STEP    and is killed when it has done a step
//   publisher STORE loop         again and again, until someone kills it
//   publisher STORE limit BYTES  where no file may grow beyond some bytes, as on a full disk

internal import Glibc
internal import Tables

func publish(_ store: Store) throws(TableError) {
    let contents = TableContents(
        kind: "test", tensors: [TensorSpec("x", .uint32, shape: [4096])], buildID: "publisher")
    _ = try store.publish("t", contents) { writer throws(TableError) in
        try writer.write([UInt32](repeating: UInt32(getpid()), count: 4096), to: "x")
    }
}

let arguments = CommandLine.arguments
var store = Store(path: arguments[1])
do {
    switch arguments[2] {
    case "kill":
        let last = arguments[3]
        store.onStep = { step in
            if step.rawValue == last { kill(getpid(), SIGKILL) }
        }
        try publish(store)
    case "loop":
        while true { try publish(store) }
    case "limit":
        signal(SIGXFSZ, SIG_IGN)
        var limit = rlimit(rlim_cur: UInt(arguments[3])!, rlim_max: UInt(arguments[3])!)
        setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
        try publish(store)
    default:
        exit(64)
    }
} catch {
    print(error)
    exit(1)
}
