//! The text exposition format 0.0.4 as node_exporter's textfile collector reads it: families, rendering, parsing
//! with positions, the rules. Pure: no file, clock or socket.
//!
//! Three readings rest on one scanner and one pass. [`inspect`] is node_exporter's own, lenient, for what anybody
//! wrote, with all that would do harm. [`read`] takes what a program printed for promdrop to publish. [`prove`] is the
//! last look before anything is published: the one spelling that [`render`] writes, and every rule again. Neither
//! trusts the renderer. [`clashes`] compares what several files hold;
//! [`each_sample`] hands on what a text holds, whatever it is.

pub mod family;
mod flaw;
mod given;
mod number;
mod parts;
mod quoted;
mod reading;
mod render;
mod repair;
pub mod reserved;
pub mod rules;
mod samples;
mod scan;
mod series;
mod style;
mod text;
mod union;

pub use family::{Descriptor, Family, Kind, Labels, OWN_PREFIX, Sample, add_labels, count_series, merge};
pub use given::misfits;
pub use reading::{Reading, inspect, inspect_text, prove, read};
pub use render::render;
pub use repair::{Repair, Repaired, repair};
pub use rules::{Finding, Harm, Rule, Versions};
pub use samples::{Served, each_sample};
pub use text::{Position, Spot, Text, spots};
pub use union::{Clash, Facts, FamilyFacts, Lines, clashes, clashes_between, judge};

#[cfg(test)]
mod tests;
