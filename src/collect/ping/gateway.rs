//! The host's default gateways, from the kernel's routing tables.
//!
//! /proc/net/route (net/ipv4/fib_trie.c, fib_route_seq_show) and /proc/net/ipv6_route (net/ipv6/ip6_fib.c,
//! ipv6_route_native_seq_show): a line a route. Of IPv4 only the main table is shown, of IPv6 all of them, and not which.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::net::if_::if_nametoindex;

use super::packet::Version;
use super::session::Address;

/// Flags of a route that is up and goes by a gateway, and of one that refuses (linux/route.h).
const UP: u32 = 0x1;
const GATEWAY: u32 = 0x2;
const REJECT: u32 = 0x200;

/// A default route.
#[derive(Debug, PartialEq, Eq)]
struct Route {
    /// The lowest is taken.
    metric: u32,
    gateway: IpAddr,
    /// The interface to it.
    interface: String,
}

/// The default gateways of the network namespace of the calling thread, the one that is used first.
///
/// # Errors
/// Where the table can't be read. A host without this version of IP has no table, and no gateway.
pub fn default_gateways(version: Version) -> io::Result<Vec<Address>> {
    let name = match version {
        Version::V4 => "route",
        Version::V6 => "ipv6_route",
    };
    let table = match File::open(format!("/proc/thread-self/net/{name}")) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut routes = Vec::new();
    for line in table.lines() {
        let line = line?;
        routes.extend(match version {
            Version::V4 => ipv4_route(&line),
            Version::V6 => ipv6_route(&line),
        });
    }
    // Stable: of equal ones the first.
    routes.sort_by_key(|route| route.metric);
    Ok(routes.iter().filter_map(Route::address).collect())
}

impl Route {
    fn address(&self) -> Option<Address> {
        let zone = match self.gateway {
            IpAddr::V6(ip) if ip.is_unicast_link_local() => if_nametoindex(self.interface.as_str()).ok()?,
            _ => 0,
        };
        Some(Address { ip: self.gateway, zone })
    }
}

/// The default route that a line is: interface, destination, gateway, flags, two more, metric, mask, all but the metric
/// in hexadecimal, addresses as the machine holds them.
fn ipv4_route(line: &str) -> Option<Route> {
    let columns: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[interface, destination, gateway, flags, _, _, metric, mask, ..] = columns.as_slice() else {
        return None;
    };
    let hex = |text| u32::from_str_radix(text, 16).ok();
    if hex(destination)? != 0 || hex(mask)? != 0 || !goes(hex(flags)?) {
        return None;
    }
    let gateway = IpAddr::V4(Ipv4Addr::from(hex(gateway)?.to_ne_bytes()));
    Some(Route { metric: metric.parse().ok()?, gateway, interface: interface.to_owned() })
}

/// The default route that a line is: destination and its length, source and its length, gateway, metric, two more,
/// flags, interface, all in hexadecimal.
fn ipv6_route(line: &str) -> Option<Route> {
    let columns: Vec<&str> = line.split_ascii_whitespace().collect();
    let &[destination, length, _, source_length, gateway, metric, _, _, flags, interface] =
        columns.as_slice()
    else {
        return None;
    };
    let hex = |text| u32::from_str_radix(text, 16).ok();
    let any =
        u128::from_str_radix(destination, 16).ok()? == 0 && hex(length)? == 0 && hex(source_length)? == 0;
    if !any || !goes(hex(flags)?) {
        return None;
    }
    let gateway = IpAddr::V6(Ipv6Addr::from_bits(u128::from_str_radix(gateway, 16).ok()?));
    Some(Route { metric: hex(metric)?, gateway, interface: interface.to_owned() })
}

fn goes(flags: u32) -> bool {
    flags & (UP | GATEWAY) == UP | GATEWAY && flags & REJECT == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn route(metric: u32, gateway: &str, interface: &str) -> Option<Route> {
        Some(Route { metric, gateway: gateway.parse().unwrap(), interface: interface.to_owned() })
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn an_ipv4_default_route_and_no_other() {
        let table = [
            ("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT", None),
            ("eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0", route(100, "192.0.2.1", "eth0")),
            ("eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0", None),
            // Half of everything, by a gateway.
            ("tun0\t00000000\t010200C0\t0003\t0\t0\t0\t00000080\t0\t0\t0", None),
            // By an interface alone.
            ("ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0", None),
            ("*\t00000000\t00000000\t0203\t0\t0\t0\t00000000\t0\t0\t0", None),
            ("", None),
        ];
        for (line, expected) in table {
            assert_eq!(ipv4_route(line), expected, "{line}");
        }
    }

    #[test]
    fn an_ipv6_default_route_and_no_other() {
        let zeros = "0".repeat(32);
        let line = |length: &str, gateway: &str, flags: &str| {
            format!("{zeros} {length} {zeros} 00 {gateway} 00000400 00000001 00000000 {flags}     eth0")
        };
        let gateway = "fe800000000000000000000000000001";
        assert_eq!(ipv6_route(&line("00", gateway, "00000003")), route(1024, "fe80::1", "eth0"));
        assert_eq!(
            ipv6_route(&line("00", gateway, "00450003")),
            route(1024, "fe80::1", "eth0"),
            "an announced one"
        );
        assert_eq!(ipv6_route(&line("00", &zeros, "00200200")), None, "what refuses");
        assert_eq!(ipv6_route(&line("00", &zeros, "00000001")), None, "by an interface alone");
        assert_eq!(ipv6_route(&line("03", gateway, "00000003")), None, "2000::/3, say");
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "[0-9a-fx \\t]{0,160}|\\PC{0,80}") {
            let _ = (ipv4_route(&line), ipv6_route(&line));
        }
    }
}
