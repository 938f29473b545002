//! How ranks reach each other. In one process they share an address space: a peer is a pointer.
