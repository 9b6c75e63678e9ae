//! The text exposition format 0.0.4 as node_exporter's textfile collector reads it: families, rendering, parsing
//! with positions, the rules. Pure: no file, clock or socket.
//!
//! Two readings rest on one scanner. [`read`] takes what a program printed, in any spelling that node_exporter takes
//! with the same meaning. [`prove`] is the last look before anything is published: the one spelling that
//! [`render`] writes, and every rule again. Neither trusts the renderer.

pub mod family;
mod parse;
mod render;
mod reserved;
pub mod rules;
mod scan;

pub use family::{Descriptor, Family, Kind, Labels, Sample};
pub use parse::{prove, read};
pub use render::render;
pub use rules::{Rule, Violation, violations};

#[cfg(test)]
mod tests;
