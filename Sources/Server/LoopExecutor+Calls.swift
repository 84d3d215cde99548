public import EventLoop
public import RPC

extension LoopExecutor: CallExecutor {}
