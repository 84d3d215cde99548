struct Calls_SClient {}
