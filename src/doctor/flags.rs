//! What a node_exporter was told on its command line. Pure.

/// Debian's build reads this directory where it is told none; upstream's then reads none.
const DEBIANS: &str = "/var/lib/prometheus/node-exporter";

/// What its program is called: upstream's, Debian's, and others'.
const NAMES: [&str; 3] = ["node_exporter", "prometheus-node-exporter", "node-exporter"];

/// What matters of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    /// The directories of its textfile collector, which may be patterns; none: it reads none.
    pub directories: Vec<String>,
    /// Whether it runs that collector.
    pub has_textfile: bool,
    /// Where it listens, as it was told; `None` on a socket of systemd's.
    pub address: Option<String>,
    /// Where its metrics are.
    pub path: String,
    /// Whether a file says how it is asked: with TLS, or a password.
    pub has_web_config: bool,
}

/// Whether `program`, a path, is a node_exporter.
pub fn is_exporter(program: &str) -> bool {
    let name = program.strip_suffix(" (deleted)").unwrap_or(program);
    name.rsplit('/').next().is_some_and(|name| NAMES.contains(&name))
}

impl Flags {
    /// Reads a command line, the program first.
    pub fn read(words: &[String]) -> Self {
        let is_debians = words.first().is_some_and(|name| name.ends_with(NAMES[1]));
        let mut flags = Self {
            directories: Vec::new(),
            has_textfile: true,
            address: Some(":9100".to_owned()),
            path: "/metrics".to_owned(),
            has_web_config: false,
        };
        let (mut by_default, mut textfile, mut is_handed) = (true, None, false);
        let mut words = words.iter().skip(1).map(String::as_str);
        while let Some(word) = words.next() {
            let Some(word) = word.strip_prefix("--") else { continue };
            let (name, value) =
                word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            let mut value = || value.or_else(|| words.next()).unwrap_or_default().to_owned();
            match name {
                "collector.textfile.directory" => flags.directories.push(value()),
                "collector.textfile" => textfile = Some(true),
                "no-collector.textfile" => textfile = Some(false),
                "collector.disable-defaults" => by_default = false,
                "web.listen-address" => flags.address = Some(value()),
                "web.systemd-socket" => is_handed = true,
                "web.telemetry-path" => flags.path = value(),
                "web.config.file" | "web.config" => flags.has_web_config = !value().is_empty(),
                _ => {}
            }
        }
        flags.has_textfile = textfile.unwrap_or(by_default);
        flags.address = flags.address.filter(|_| !is_handed);
        if flags.directories.is_empty() && is_debians {
            flags.directories.push(DEBIANS.to_owned());
        }
        flags.directories.retain(|directory| !directory.is_empty());
        flags
    }

    /// Where this host would ask it; `None` where its command line doesn't tell: it was handed its socket, chose a port, or
    /// listens on one that is not of TCP.
    pub fn url(&self) -> Option<String> {
        let address = self.address.as_deref().filter(|address| !address.contains("://"))?;
        let (host, port) = address.rsplit_once(':')?;
        let port = port.parse::<u16>().ok().filter(|port| *port != 0)?;
        let host = if matches!(host, "" | "0.0.0.0" | "[::]") { "127.0.0.1" } else { host };
        Some(format!("http://{host}:{port}{}", self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Flags {
        Flags::read(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_directory_is_told_in_any_of_the_ways() {
        for (line, directories) in [
            ("node_exporter", &[][..]),
            ("/usr/bin/prometheus-node-exporter", &[DEBIANS]),
            ("prometheus-node-exporter --collector.textfile.directory=/a", &["/a"]),
            ("node_exporter --collector.textfile.directory /a --log.level=debug", &["/a"]),
            (
                "node_exporter --collector.textfile.directory=/a --collector.textfile.directory /b/*",
                &["/a", "/b/*"],
            ),
            ("prometheus-node-exporter --collector.textfile.directory=", &[]),
            ("node_exporter --collector.textfile.directory", &[]),
        ] {
            assert_eq!(read(line).directories, directories, "{line}");
        }
    }

    #[test]
    fn the_collector_may_be_off() {
        for (line, is_on) in [
            ("node_exporter", true),
            ("node_exporter --no-collector.textfile", false),
            ("node_exporter --collector.disable-defaults", false),
            ("node_exporter --collector.disable-defaults --collector.textfile", true),
            ("node_exporter --collector.textfile --collector.disable-defaults", true),
        ] {
            assert_eq!(read(line).has_textfile, is_on, "{line}");
        }
    }

    #[test]
    fn an_address_is_one_that_can_be_asked() {
        for (line, url) in [
            ("node_exporter", Some("http://127.0.0.1:9100/metrics")),
            ("node_exporter --web.systemd-socket", None),
            ("node_exporter --web.listen-address=127.0.0.1:0", None),
            ("node_exporter --web.listen-address=unix:///run/x.sock", None),
            ("node_exporter --web.listen-address=vsock://:9100", None),
            ("node_exporter --web.listen-address=", None),
            ("node_exporter --web.listen-address=:9200", Some("http://127.0.0.1:9200/metrics")),
            ("node_exporter --web.listen-address [::]:9200", Some("http://127.0.0.1:9200/metrics")),
            ("node_exporter --web.listen-address=[::1]:1 --web.telemetry-path=/m", Some("http://[::1]:1/m")),
            ("node_exporter --web.listen-address=192.0.2.1:9100", Some("http://192.0.2.1:9100/metrics")),
        ] {
            assert_eq!(read(line).url().as_deref(), url, "{line}");
        }
        assert!(read("node_exporter --web.config.file=/x").has_web_config);
        assert!(!read("node_exporter --web.config.file=").has_web_config);
    }

    #[test]
    fn a_program_is_known_by_its_name() {
        assert!(is_exporter("/opt/x/node_exporter") && is_exporter("prometheus-node-exporter"));
        assert!(is_exporter("/usr/bin/node_exporter (deleted)"));
        assert!(!is_exporter("/usr/bin/my_node_exporter") && !is_exporter("sh") && !is_exporter(""));
        assert_eq!(Flags::read(&[]), read(""));
    }
}
