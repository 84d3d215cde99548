public import FletchEventLoop
public import FletchRPC

extension LoopExecutor: CallExecutor {}
