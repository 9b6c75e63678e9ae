//! Ports and ranges of ports: how they are written, and counting by them. Pure.

use std::fmt;

use super::counts::Counts;
use crate::config::yaml::{Field, Node, Problems, Value, Wrong, quote, read_integer};

const CURE: &str = "write a port from 1 to 65535, or a range such as 8000-8100";

/// Ports from the first to the last, which may be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port, not below the first.
    pub last: u16,
}

impl PortRange {
    /// Reads `443` or `8000-8100`. Each has one spelling only, which is the label of its series.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let wrong = |why: &str| Wrong::new(format!("{} is {why}", quote(text)), CURE);
        let port = |text: &str| {
            let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
            text.parse::<u16>().ok().filter(|_| is_plain)
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (Some(first), Some(last)) = (port(first), port(last)) else {
            return Err(wrong("neither a port nor a range of ports"));
        };
        if text.contains('-') && first >= last {
            return Err(wrong("a range whose end is not above its beginning"));
        }
        Ok(Self { first, last })
    }

    /// Whether `port` is one of them.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Whether all ports of `other` are.
    pub fn contains_all(self, other: Self) -> bool {
        self.contains(other.first) && self.contains(other.last)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(out, "{}", self.first)
        } else {
            write!(out, "{}-{}", self.first, self.last)
        }
    }
}

impl Field for PortRange {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        match &node.value {
            Value::Integer(_) => {
                let port = read_integer(node, problems, 1, 65_535)?;
                u16::try_from(port).ok().map(|port| Self { first: port, last: port })
            }
            Value::Text(text) => Self::parse(text).map_err(|wrong| problems.report(node, wrong)).ok(),
            other => {
                let message = format!("this is {}, where a port is expected", other.kind());
                problems.report(node, Wrong::new(message, CURE));
                None
            }
        }
    }
}

/// The fewest ranges that hold just the ports of `ranges`, in order.
pub fn merged(ranges: &[PortRange]) -> Vec<PortRange> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut merged: Vec<PortRange> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(before) if range.first <= before.last.saturating_add(1) => {
                before.last = before.last.max(range.last);
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// Ranges, each to be counted for itself, and the intervals that their ends cut the ports into. A socket is counted in
/// its one interval, however many ranges that is a part of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports {
    ranges: Vec<PortRange>,
    /// The first port of each interval but the one from 0; behind the last port, one that there is not.
    cuts: Vec<u32>,
}

impl Ports {
    /// Those of `ranges`.
    pub fn new(ranges: Vec<PortRange>) -> Self {
        let ends = |range: &PortRange| [u32::from(range.first), u32::from(range.last) + 1];
        let mut cuts: Vec<u32> = ranges.iter().flat_map(ends).collect();
        cuts.sort_unstable();
        cuts.dedup();
        Self { ranges, cuts }
    }

    /// The ranges.
    pub fn ranges(&self) -> &[PortRange] {
        &self.ranges
    }

    /// How many intervals there are.
    pub fn intervals(&self) -> usize {
        if self.ranges.is_empty() { 0 } else { self.cuts.len() + 1 }
    }

    /// The interval of a port.
    pub fn interval(&self, port: u16) -> usize {
        self.cuts.partition_point(|cut| *cut <= u32::from(port))
    }

    /// The counts of a range, of those of the intervals.
    pub fn sum(&self, range: PortRange, counts: &[Counts]) -> Counts {
        let parts = counts.get(self.interval(range.first)..=self.interval(range.last));
        parts.unwrap_or_default().iter().fold(Counts::default(), |sum, part| sum + *part)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::socket::{IpFamily, TcpState};
    use super::*;

    #[test]
    fn what_is_a_port_or_a_range() {
        for text in ["1", "443", "65535", "8000-8100", "1-65535"] {
            assert_eq!(PortRange::parse(text).map(|range| range.to_string()).as_deref(), Ok(text));
        }
        for text in [
            "",
            "0",
            "65536",
            "-1",
            "1-",
            "-",
            "0-5",
            "5-5",
            "9-8",
            "1-65536",
            "080",
            "+80",
            " 80",
            "80 ",
            "1 - 2",
            "1-2-3",
            "http",
            "8000..8100",
            "8\u{0660}",
            "4294967739",
        ] {
            assert!(PortRange::parse(text).is_err(), "{text:?}");
        }
    }

    fn range() -> impl Strategy<Value = PortRange> {
        let port = || prop_oneof![1_u16..50, 65_500_u16..=65_535];
        (port(), port()).prop_map(|(a, b)| PortRange { first: a.min(b), last: a.max(b) })
    }

    proptest! {
        #[test]
        fn each_range_counts_its_own_ports(
            ranges in proptest::collection::vec(range(), 1..8),
            sockets in proptest::collection::vec(prop_oneof![0_u16..52, 65_490_u16..=65_535], 0..200),
        ) {
            let ports = Ports::new(ranges.clone());
            let mut counts = vec![Counts::default(); ports.intervals()];
            for port in &sockets {
                counts[ports.interval(*port)].count(IpFamily::Ipv6, TcpState::Listen, 1);
            }
            for range in ranges {
                let found = ports.sum(range, &counts).of(IpFamily::Ipv6, TcpState::Listen) as usize;
                prop_assert_eq!(found, sockets.iter().filter(|port| range.contains(**port)).count());
            }
        }

        #[test]
        fn merged_ranges_hold_the_same_ports_and_do_not_meet(
            ranges in proptest::collection::vec(range(), 0..8),
        ) {
            let merged = merged(&ranges);
            for port in (0..=60).chain(65_480..=65_535) {
                let is_in = |ranges: &[PortRange]| ranges.iter().any(|range| range.contains(port));
                prop_assert_eq!(is_in(&merged), is_in(&ranges));
            }
            prop_assert!(merged.windows(2).all(|pair| pair[0].last + 1 < pair[1].first));
        }
    }
}
