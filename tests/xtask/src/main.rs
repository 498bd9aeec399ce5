//! cargo xtask: demo, test, soak, bench, tidy.

fn main() {}
