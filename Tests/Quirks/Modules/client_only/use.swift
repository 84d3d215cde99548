struct Calls_SService {}
struct Calls_SValueService {}
struct Calls_SAsyncService {}
