//! The text exposition format 0.0.4 as node_exporter's textfile collector reads it: families, rendering, parsing
//! with positions, the rules. Pure: no file, clock or socket.

pub mod family;

pub use family::{Descriptor, Family, Kind, Labels, Sample};
