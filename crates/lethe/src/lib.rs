//! The binary's library: configuration, wiring, command line, and the generated population that the benchmark shares.

pub mod population;
