//! The textfile directory: the only state promdrop has, and the one door to it.

pub mod state;

pub use state::State;
