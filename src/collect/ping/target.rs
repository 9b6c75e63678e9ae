//! What may stand in `targets`: host names, addresses, and their checks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::packet::Version;
use crate::config::fields::read_labels;
use crate::config::yaml::{Field, Node, Problems, Section, Value, Wrong, read_text};
use crate::exposition::family::Labels;

/// What stands in a file for the default gateway.
pub const GATEWAY: &str = "default-gateway";

/// What is pinged: a name for the resolver, an address as it is, or what the routes say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A host name (RFC 1123 section 2.1), in lower case and without a final dot.
    Name(String),
    /// An address, with the interface's name for a link-local one.
    Address(IpAddr, Option<String>),
    /// The host's default gateway.
    Gateway,
}

/// What a family key asks for: one version of IP, or `None`, the first address that the resolver gives.
pub type Wanted = Option<Version>;

/// The word for `wanted` in a file and in the label of `ping_target_resolved`.
pub fn word(wanted: Wanted) -> &'static str {
    wanted.map_or("any", Version::word)
}

/// One target.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// As it is written: the label `target`.
    pub text: String,
    /// What that is.
    pub host: Host,
    /// Which addresses will do. Of a literal, its own version.
    pub wanted: Wanted,
    /// Whether all its addresses are probed, or the first.
    pub all_addresses: bool,
    /// Labels of its own.
    pub labels: Labels,
}

impl Target {
    /// Whether both may come to the same address under the same name.
    pub fn clashes(&self, other: &Target) -> bool {
        let overlap = match (self.wanted, other.wanted) {
            (Some(one), Some(two)) => one == two,
            _ => true,
        };
        self.host == other.host && overlap
    }
}

impl Host {
    /// Checks `text`.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        if text == GATEWAY {
            return Ok(Host::Gateway);
        }
        if text.contains(':') {
            return ipv6(text);
        }
        match text.parse::<Ipv4Addr>() {
            Ok(ip) => {
                can_be_pinged(IpAddr::V4(ip)).map(|()| Host::Address(IpAddr::V4(ip), None)).map_err(|why| {
                    Wrong::new(format!("{text} is {why}: no one answers from it"), "name a single host")
                })
            }
            Err(_) => name(text),
        }
    }
}

/// Why a single host can't answer from `ip`.
pub fn can_be_pinged(ip: IpAddr) -> Result<(), &'static str> {
    if ip.is_unspecified() {
        return Err("the unspecified address");
    }
    if ip.is_multicast() {
        return Err("a multicast address");
    }
    if ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Err("the broadcast address");
    }
    Ok(())
}

fn ipv6(text: &str) -> Result<Host, Wrong> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let Ok(ip) = address.parse::<Ipv6Addr>() else {
        return Err(Wrong::new(
            format!("`{text}` is not an IPv6 address"),
            "write it without brackets or port, such as 2001:db8::1",
        ));
    };
    if let Some(ipv4) = ip.to_ipv4_mapped() {
        return Err(Wrong::new(format!("{text} is an IPv4 address in disguise"), format!("write {ipv4}")));
    }
    can_be_pinged(IpAddr::V6(ip)).map_err(|why| {
        Wrong::new(format!("{text} is {why}: no one answers from it"), "name a single host")
    })?;
    match zone {
        None if ip.is_unicast_link_local() => Err(Wrong::new(
            format!("{text} is link-local: it means nothing without its interface"),
            format!("add it, such as {ip}%eth0"),
        )),
        Some(_) if !ip.is_unicast_link_local() => Err(Wrong::new(
            format!("{text} has an interface, but only link-local addresses (fe80::/10) need one"),
            format!("write {ip}"),
        )),
        Some(zone) => {
            check_interface(zone, &format!("{ip}%eth0"))?;
            Ok(Host::Address(IpAddr::V6(ip), Some(zone.to_owned())))
        }
        None => Ok(Host::Address(IpAddr::V6(ip), None)),
    }
}

/// Checks the name of an interface, of which `example` has one.
pub fn check_interface(name: &str, example: &str) -> Result<(), Wrong> {
    // IFNAMSIZ of <linux/if.h> is 16 with the final NUL; dev_valid_name() refuses the rest.
    if name.is_empty() || name.len() > 15 || name.contains(['/', ':', '%', '\0', ' ', '\t']) {
        return Err(Wrong::new(
            format!("`{name}` is not an interface's name"),
            format!("write {example}, say"),
        ));
    }
    Ok(())
}

fn name(text: &str) -> Result<Host, Wrong> {
    const CURE: &str = "write a host name, an IPv4 address or an IPv6 address";
    let bare = text.strip_suffix('.').unwrap_or(text);
    if bare.is_empty() || bare.len() > 253 {
        let message = format!("a host name has 1 to 253 characters, this has {}", bare.len());
        return Err(Wrong::new(message, CURE));
    }
    for label in bare.split('.') {
        let letters = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if label.is_empty() || label.len() > 63 || !letters || label.starts_with('-') || label.ends_with('-')
        {
            return Err(Wrong::new(
                format!("`{text}` is not a host name: `{label}` is not letters, digits and inner dashes"),
                CURE,
            ));
        }
    }
    // A name may not end like an address (RFC 1123 section 2.1); the resolver would take `127.1` and `0x7f.1` for one.
    let last = bare.rsplit('.').next().unwrap_or_default();
    if last.starts_with(|c: char| c.is_ascii_digit())
        && last.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'x' | b'X'))
    {
        return Err(Wrong::new(
            format!("`{text}` looks like an IPv4 address, but is none"),
            "write four numbers from 0 to 255, such as 192.0.2.1",
        ));
    }
    Ok(Host::Name(bare.to_ascii_lowercase()))
}

impl Field for Host {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        read_text(node, problems, Host::parse)
    }
}

/// The value of `family`.
struct Family(Wanted);

impl Field for Family {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        read_text(node, problems, |text| match text {
            "any" => Ok(Family(None)),
            "ipv4" => Ok(Family(Some(Version::V4))),
            "ipv6" => Ok(Family(Some(Version::V6))),
            _ => Err(Wrong::new(format!("`{text}` is not a family"), "write ipv4, ipv6 or any")),
        })
    }
}

impl Field for Target {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        match &node.value {
            Value::Text(text) => {
                let host = Host::read(node, problems)?;
                let wanted = version(&host);
                Some(Target { text: text.clone(), host, wanted, all_addresses: false, labels: Vec::new() })
            }
            Value::Map(_) => read_map(node, problems),
            other => {
                let message = format!("this is {}, where a target is expected", other.kind());
                let cure = "write an address or a name, in quotes where it is a number, or {host: NAME, ...}";
                problems.report(node, Wrong::new(message, cure));
                None
            }
        }
    }
}

fn read_map(node: &Node, problems: &Problems) -> Option<Target> {
    let mut section = Section::open("targets", node, problems)?;
    let host = section.required::<Host>("host", "write `host: NAME`, a name or an address");
    let text = section.node("host");
    let family = section.optional::<Family>("family").map(|family| family.0);
    let all_addresses = section.optional::<bool>("all_addresses").unwrap_or(false);
    let labels = match section.node("labels") {
        Some(node) => read_labels(node, problems),
        None => Some(Vec::new()),
    };
    let literal = host.as_ref().and_then(version);
    if let (Some(literal), Some(Some(wanted))) = (literal, family)
        && literal != wanted
    {
        let message =
            format!("the host is an {} address, so its family can't be {}", literal.word(), wanted.word());
        section.report("family", Wrong::new(message, "remove `family`"));
    }
    if literal.is_some() && all_addresses {
        let wrong = Wrong::new("the host is an address, which has no others", "remove `all_addresses`");
        section.report("all_addresses", wrong);
    }
    section.finish();
    let Value::Text(text) = &text?.value else { return None };
    let wanted = literal.or(family.flatten());
    Some(Target { text: text.clone(), host: host?, wanted, all_addresses, labels: labels? })
}

/// The version of a literal; `None` of the rest.
fn version(host: &Host) -> Wanted {
    match host {
        Host::Name(_) | Host::Gateway => None,
        Host::Address(IpAddr::V4(_), _) => Some(Version::V4),
        Host::Address(IpAddr::V6(_), _) => Some(Version::V6),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_that_can_be_pinged() {
        for name in ["localhost", "www.example.net", "a-1.b", "3com.example", "x.", "1.2.3.4a.example"] {
            assert_eq!(Host::parse(name), Ok(Host::Name(name.trim_end_matches('.').to_owned())));
        }
        for address in ["192.0.2.1", "127.0.0.1", "2001:db8::1", "::1"] {
            assert_eq!(Host::parse(address), Ok(Host::Address(address.parse().unwrap(), None)));
        }
        assert_eq!(Host::parse("default-gateway"), Ok(Host::Gateway));
        assert_eq!(
            Host::parse("default-gateway."),
            Ok(Host::Name("default-gateway".into())),
            "one of that name"
        );
        let local = Host::Address("fe80::1".parse().unwrap(), Some("eth0".to_owned()));
        assert_eq!(Host::parse("fe80::1%eth0"), Ok(local));
    }

    #[test]
    fn hosts_that_can_not() {
        let long = format!("{}.example", "a".repeat(64));
        let longer = "a.".repeat(128);
        for (text, why) in [
            ("", "has 1 to 253"),
            (".", "has 1 to 253"),
            (longer.as_str(), "has 1 to 253"),
            (long.as_str(), "inner dashes"),
            ("a..b", "inner dashes"),
            ("-a.example", "inner dashes"),
            ("a-.example", "inner dashes"),
            ("a_b.example", "inner dashes"),
            ("a b", "inner dashes"),
            ("bücher.example", "inner dashes"),
            ("http://x", "not an IPv6 address"),
            ("[::1]", "not an IPv6 address"),
            ("192.0.2.256", "looks like an IPv4 address"),
            ("127.1", "looks like an IPv4 address"),
            ("127.0x1", "looks like an IPv4 address"),
            ("0.0.0.0", "the unspecified address"),
            ("::", "the unspecified address"),
            ("224.0.0.1", "a multicast address"),
            ("ff02::1%eth0", "a multicast address"),
            ("255.255.255.255", "the broadcast address"),
            ("::ffff:192.0.2.1", "in disguise"),
            ("fe80::1", "without its interface"),
            ("fe80::1%", "not an interface's name"),
            ("fe80::1%an-interface-too-long", "not an interface's name"),
            ("2001:db8::1%eth0", "only link-local"),
        ] {
            let wrong = Host::parse(text).unwrap_err();
            assert!(wrong.message.contains(why), "{text:?}: {}", wrong.message);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}|[0-9a-f:.%]{0,60}") {
            let _ = Host::parse(&text);
        }
    }
}
