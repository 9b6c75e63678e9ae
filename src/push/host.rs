//! By which names this host is known to itself.

use std::fs;

/// Where they stand: the name, what else it is called, and the domain.
const PLACES: [&str; 3] = ["/proc/sys/kernel/hostname", "/etc/hosts", "/etc/resolv.conf"];

/// This host's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host(Vec<String>);

impl Host {
    /// Reads them; the resolver, who could be slow, is not asked.
    pub fn read() -> Self {
        // A comment in another encoding is no reason to know nothing.
        let read = |place: &str| String::from_utf8_lossy(&fs::read(place).unwrap_or_default()).into_owned();
        let [name, hosts, resolver] = PLACES.map(read);
        Self::of(&name, &hosts, &resolver)
    }

    /// What `hostname`, `hostname -s` and `hostname -f` print, as far as files tell: of the kernel's `name`, the text of
    /// hosts(5) and that of resolv.conf(5).
    pub fn of(name: &str, hosts: &str, resolver: &str) -> Self {
        let name = name.trim();
        let short = name.split('.').next().unwrap_or(name);
        let mut names = vec![name.to_owned(), short.to_owned()];
        if name == short {
            let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or(line));
            let of_host = lines.map(|line| line.split_ascii_whitespace().skip(1).collect::<Vec<_>>());
            let of_host = of_host.filter(|names| names.iter().any(|other| other.eq_ignore_ascii_case(name)));
            // An alias that is another name altogether is not this host's for who looks at a graph.
            let prefix = format!("{}.", name.to_ascii_lowercase());
            let full = of_host.flatten().filter(|other| other.to_ascii_lowercase().starts_with(&prefix));
            names.extend(full.map(str::to_owned));
            names.extend(domain(resolver).map(|domain| format!("{name}.{domain}")));
        }
        names.retain(|name| !name.is_empty());
        Self(names)
    }

    /// Whether `text` is one of them.
    pub fn is(&self, text: &str) -> bool {
        let text = text.strip_suffix('.').unwrap_or(text);
        self.0.iter().any(|name| name.eq_ignore_ascii_case(text))
    }
}

/// The domain of this host, by resolv.conf(5): the last of its lines tells it, and of several names the first.
fn domain(resolver: &str) -> Option<&str> {
    let told = resolver.lines().rev().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        matches!(words.next(), Some("domain" | "search")).then(|| words.next()).flatten()
    });
    told.map(|domain| domain.strip_suffix('.').unwrap_or(domain)).filter(|domain| !domain.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &str = "127.0.0.1 localhost\n127.0.1.1\tweb1.example.org web1 db # web1.not.here\n10.0.0.9 web2.example.org web2\n";

    #[test]
    fn the_host_knows_its_short_and_its_full_name() {
        let host = Host::of("web1\n", HOSTS, "");
        for (text, expected) in [
            ("web1", true),
            ("WEB1.example.org", true),
            ("web1.example.org.", true),
            ("web2", false),
            ("web1.not.here", false),
            ("web1.example.com", false),
            ("db", false),
            ("localhost", false),
            ("", false),
        ] {
            assert_eq!(host.is(text), expected, "{text}");
        }
        let full = Host::of("web1.example.org\n", "", "search other.org\n");
        assert!(full.is("web1") && full.is("web1.example.org") && !full.is("web1.other.org"));
    }

    #[test]
    fn the_domain_is_the_resolvers() {
        for (resolver, expected) in [
            ("nameserver 10.0.0.1\nsearch example.org other.org\n", "web1.example.org"),
            ("domain example.com.\n", "web1.example.com"),
        ] {
            assert!(Host::of("web1", "", resolver).is(expected), "{resolver}");
        }
        assert!(!Host::of("", HOSTS, "search example.org\n").is("web1"));
    }
}
