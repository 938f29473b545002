//! Programs in `programs/`, router traces in `traces/`, Rust beside this file.
