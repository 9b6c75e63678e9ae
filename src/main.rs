//! Arguments to commands to exit status.

fn main() {}
