// Where a tuple goes; group -1 for nowhere.
struct Pair { i32 group; i32 slot; };
