//! The firn binary: configuration, wiring, command line.

fn main() {}
