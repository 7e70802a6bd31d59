//! End-to-end behaviour of the store, on the local folder and in memory.
