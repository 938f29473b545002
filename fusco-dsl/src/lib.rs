//! Text to verified schedule to CUDA text. Pure: no I/O in a stage, no unsafe, no CUDA.
#![forbid(unsafe_code)]

