//! The section `ping` of a collector file.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::metrics::{Choice, OWN_LABELS};
use super::packet::{self, Version};
use super::session::{Plan, TICK};
use super::settings::Settings;
use super::target::{Host, Target, check_interface, word};
use crate::collect::cumulative::Quantile;
use crate::config::Header;
use crate::config::yaml::{Field, Node, Problems, Section, Value, Wrong, read_integer, read_list, read_text};

/// Probes of a run: as many as there are ICMP sequence numbers.
pub const MOST_PROBES: usize = 1 << 16;
/// Kept free for resolving names where there are any.
const RESOLVE_TIME: Duration = Duration::from_secs(1);
/// Kept free in a run, half of it before the first probe, half after the last one's timeout.
pub const RESERVE: Duration = Duration::from_millis(100);
/// Bounds of a histogram, and quantiles: each is a series for each address.
const MOST_BUCKETS: usize = 50;
const MOST_QUANTILES: usize = 10;

/// What a collector file says.
#[derive(Debug, PartialEq)]
pub struct Definition {
    /// What is pinged.
    pub targets: Vec<Target>,
    /// How often and how fast.
    pub plan: Plan,
    /// How probes are sent.
    pub settings: Settings,
    /// Which families there are.
    pub choice: Choice,
}

/// A duration of at least a millisecond.
struct Time(Duration);

impl Field for Time {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        let time = Duration::read(node, problems)?;
        if time < TICK {
            problems.report(node, Wrong::new("this is shorter than 1ms", "write 1ms or more"));
            return None;
        }
        Some(Self(time))
    }
}

/// Reads the section; reports what is wrong and returns `None`.
pub fn read(section: &mut Section<'_>, header: &Header) -> Option<Definition> {
    let items = section.required::<Vec<Node>>("targets", TARGETS);
    let count = whole_number(section, "count", 1, 1000).unwrap_or(Some(5));
    let spacing = time(section, "spacing", Duration::from_millis(200));
    let timeout = time(section, "timeout", Duration::from_secs(1));
    let all_addresses = section.optional::<bool>("all_addresses").unwrap_or(false);
    let settings = settings(section);
    let choice = choice(section);
    for name in OWN_LABELS {
        if header.labels.iter().any(|(label, _)| label == name) {
            let message = format!("`labels` of this file sets `{name}`, which module ping sets itself");
            section.report("", Wrong::new(message, "choose another label name there"));
        }
    }
    let items = items?;
    if items.is_empty() {
        section.report("targets", Wrong::new("there is no target", TARGETS));
    }
    let mut targets = targets(&items, section.problems(), header)?;
    for target in &mut targets {
        target.all_addresses |= all_addresses;
    }
    let (settings, choice) = (settings?, choice?);
    let plan = Plan {
        targets: targets.len(),
        count: count?,
        spacing: spacing?,
        timeout: timeout?,
        size: settings.size,
    };
    if plan.targets.saturating_mul(plan.count) > MOST_PROBES {
        let message = format!("{} targets x {} probes are more than {MOST_PROBES}", plan.targets, plan.count);
        section.report("targets", Wrong::new(message, "split them over several files, or lower `count`"));
        return None;
    }
    check_time(section, &plan, &targets, header);
    Some(Definition { targets, plan, settings, choice })
}

const TARGETS: &str = "write `targets:` and a line `- ADDRESS` for each";

fn time(section: &mut Section<'_>, key: &'static str, default: Duration) -> Option<Duration> {
    match section.node(key) {
        Some(node) => Time::read(node, section.problems()).map(|time| time.0),
        None => Some(default),
    }
}

/// The number at `key`, which is `None` where it is wrong; `None` where there is none.
fn whole_number<T: TryFrom<i128>>(
    section: &mut Section<'_>,
    key: &'static str,
    low: i128,
    high: i128,
) -> Option<Option<T>> {
    let node = section.node(key)?;
    Some(read_integer(node, section.problems(), low, high).and_then(|number| T::try_from(number).ok()))
}

/// Reads every target, so that every problem is found.
fn targets(items: &[Node], problems: &Problems, header: &Header) -> Option<Vec<Target>> {
    let read: Vec<Option<Target>> = items.iter().map(|item| Target::read(item, problems)).collect();
    let mut seen: HashMap<&Host, Vec<&Target>> = HashMap::new();
    for (item, target) in items.iter().zip(read.iter().map(Option::as_ref)) {
        let Some(target) = target else { continue };
        for (name, _) in &target.labels {
            if OWN_LABELS.contains(&name.as_ref()) {
                let message = format!("module ping sets the label `{name}` itself");
                problems.report(item, Wrong::new(message, "choose another name"));
            } else if header.labels.iter().any(|(label, _)| label == name) {
                let message = format!("the label `{name}` stands in `labels` of this file already");
                problems.report(item, Wrong::new(message, "keep one of the two"));
            }
        }
        let same = seen.entry(&target.host).or_default();
        if same.iter().any(|other| other.clashes(target)) {
            let message =
                format!("`{}` ({}) stands here for the second time", target.text, word(target.wanted));
            problems.report(item, Wrong::new(message, "keep one, or give them families ipv4 and ipv6"));
        }
        same.push(target);
    }
    read.into_iter().collect()
}

fn settings(section: &mut Section<'_>) -> Option<Settings> {
    let default = Settings::default();
    let [low, high] = [*packet::SIZES.start(), *packet::SIZES.end()].map(|size| size as i128);
    let size = whole_number(section, "size", low, high).unwrap_or(Some(default.size));
    let ttl = whole_number(section, "ttl", 1, 255).map_or(Some(default.ttl), |ttl| ttl.map(Some));
    let dscp = match section.node("dscp") {
        Some(node) => Dscp::read(node, section.problems()).map(|dscp| dscp.0),
        None => Some(default.dscp),
    };
    let sources = match section.node("source") {
        Some(node) => sources(node, section.problems()),
        None => Some(default.sources),
    };
    let interface = match section.node("interface") {
        Some(node) => read_text(node, section.problems(), |text| {
            check_interface(text, "eth0").map(|()| text.to_owned())
        })
        .map(Some),
        None => Some(default.interface),
    };
    let tx_timestamps = section.optional("tx_timestamps").unwrap_or(default.tx_timestamps);
    Some(Settings {
        size: size?,
        ttl: ttl?,
        dscp: dscp?,
        sources: sources?,
        interface: interface?,
        tx_timestamps,
    })
}

/// A differentiated services codepoint.
struct Dscp(u8);

impl Field for Dscp {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        match node.value {
            Value::Text(_) => read_text(node, problems, |text| {
                let wrong = || {
                    Wrong::new(
                        format!("`{text}` is not a DSCP"),
                        "write ef, af11 to af43, cs0 to cs7, or 0 to 63",
                    )
                };
                codepoint(text).map(Dscp).ok_or_else(wrong)
            }),
            _ => u8::try_from(read_integer(node, problems, 0, 63)?).ok().map(Dscp),
        }
    }
}

/// The number of a name: RFC 2474 (cs), RFC 2597 (af), RFC 3246 (ef).
fn codepoint(name: &str) -> Option<u8> {
    let digit = |byte: &u8, most: u8| Some(byte.checked_sub(b'0')?).filter(|digit| *digit <= most);
    match name.as_bytes() {
        b"ef" => Some(46),
        [b'c', b's', class] => Some(digit(class, 7)? * 8),
        [b'a', b'f', class @ b'1'..=b'4', drop @ b'1'..=b'3'] => {
            Some(digit(class, 4)? * 8 + digit(drop, 3)? * 2)
        }
        _ => None,
    }
}

/// One address or a list, at most one of each version.
fn sources(node: &Node, problems: &Problems) -> Option<Vec<(IpAddr, Option<String>)>> {
    const CURE: &str = "write an address of this host, or [IPV4, IPV6]";
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut sources: Vec<(IpAddr, Option<String>)> = Vec::new();
    let mut good = true;
    for item in items {
        let read = read_text(item, problems, |text| match Host::parse(text)? {
            Host::Address(ip, zone) => Ok((ip, zone)),
            _ => Err(Wrong::new(format!("`{text}` is not an address"), CURE)),
        });
        good &= read.is_some();
        let Some((ip, zone)) = read else { continue };
        if sources.iter().any(|(other, _)| Version::of(*other) == Version::of(ip)) {
            let message = format!("{ip} is the second {} source", Version::of(ip).word());
            problems.report(item, Wrong::new(message, "keep one of them; another file can have another"));
        }
        sources.push((ip, zone));
    }
    if items.is_empty() {
        problems.report(node, Wrong::new("there is no source", CURE));
    }
    good.then_some(sources)
}

fn choice(section: &mut Section<'_>) -> Option<Choice> {
    let default = Choice::default();
    let buckets = match section.node("buckets") {
        Some(node) => {
            const CURE: &str = "write upper bounds, such as [1ms, 10ms, 100ms], or [] for no histogram";
            rising(node, section.problems(), MOST_BUCKETS, CURE, |item, problems| {
                let bound = Duration::read(item, problems)?;
                if bound.is_zero() {
                    problems.report(item, Wrong::new("no time is shorter than this", "write 1us or more"));
                }
                Some(bound)
            })
        }
        None => Some(default.buckets),
    };
    let quantiles = match section.node("quantiles") {
        Some(node) => {
            const CURE: &str = "write numbers from 0 to 1, such as [0.5, 0.9, 0.99]";
            rising(node, section.problems(), MOST_QUANTILES, CURE, |item, problems| {
                let share = match item.value {
                    Value::Float(share) => Quantile::new(share),
                    Value::Integer(whole) => {
                        u8::try_from(whole).ok().and_then(|whole| Quantile::new(whole.into()))
                    }
                    _ => None,
                };
                if share.is_none() {
                    problems.report(item, Wrong::new("this is not a quantile", CURE));
                }
                share
            })
        }
        None => Some(default.quantiles),
    };
    let icmp_errors = section.optional("icmp_errors").unwrap_or(default.icmp_errors);
    Some(Choice { buckets: buckets?, quantiles: quantiles?, icmp_errors })
}

/// A list of at most `most` rising numbers.
fn rising<T: PartialOrd>(
    node: &Node,
    problems: &Problems,
    most: usize,
    cure: &str,
    read: impl Fn(&Node, &Problems) -> Option<T>,
) -> Option<Vec<T>> {
    let items = read_list(node, problems, cure)?;
    if items.len() > most {
        let message = format!("there are {} of them, more than {most}", items.len());
        problems.report(node, Wrong::new(message, "each is a series for each address: keep the useful ones"));
    }
    let mut found: Vec<Option<T>> = Vec::new();
    for item in items {
        let value = read(item, problems);
        if let (Some(Some(before)), Some(value)) = (found.last(), &value)
            && before >= value
        {
            problems.report(
                item,
                Wrong::new("this is not higher than the one before", "write them in rising order"),
            );
        }
        found.push(value);
    }
    found.into_iter().collect()
}

/// All probes and their timeouts must fit in the time of a run.
fn check_time(section: &Section<'_>, plan: &Plan, targets: &[Target], header: &Header) {
    let show = |time: Duration| humantime::format_duration(time).to_string();
    let names = targets.iter().any(|target| matches!(target.host, Host::Name(_)));
    let resolving = if names { RESOLVE_TIME } else { Duration::ZERO };
    let needed = plan.total().saturating_add(resolving).saturating_add(RESERVE);
    if needed <= header.timeout {
        return;
    }
    let mut sum = format!("{} x {} between probes", plan.count.saturating_sub(1), show(plan.round()));
    if !plan.sending().is_zero() {
        sum += &format!(" + {} to send a round of them", show(plan.sending()));
    }
    sum += &format!(" + {} timeout", show(plan.timeout));
    if names {
        sum += &format!(" + {} to resolve names", show(resolving));
    }
    let message = format!(
        "a run takes {sum} + {} reserve = {}, but the collector's timeout is {}",
        show(RESERVE),
        show(needed),
        show(header.timeout)
    );
    let key = ["timeout", "spacing", "count"].into_iter().find(|key| section.has(key)).unwrap_or("targets");
    section.report(
        key,
        Wrong::new(message, "lower count, spacing or timeout here, or raise the collector's `timeout`"),
    );
}

#[cfg(test)]
mod tests;
