//! A live node_exporter, asked which families it serves. Some of its names are its own only where it was told to run
//! an optional collector: nobody else knows. Nothing is asked where no such name is at stake.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::time::Duration;

use crate::diagnostic::{Problem, show_all};

/// How long a node_exporter may take to answer, as a whole: a scrape of its own takes no longer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The largest answer that is read. A scrape of a large host has a tenth of it.
const LARGEST: u64 = 32 * 1024 * 1024;

/// The family that every node_exporter serves, whatever its collectors.
const ALWAYS_THERE: &str = "node_exporter_build_info";

/// Why it is not known what node_exporter serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Who was asked.
    pub url: String,
    /// What went wrong, without a full stop.
    pub message: String,
    /// What to do about it.
    pub cure: &'static str,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_all(out, &self.url, "", &[Problem::whole(&*self.message, self.cure)])
    }
}

impl std::error::Error for Error {}

/// What a node_exporter serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// The names of all its families, those of its textfile directory among them.
    pub families: HashSet<String>,
    /// The collectors that it runs.
    pub collectors: HashSet<String>,
}

impl Live {
    /// Whether the family `name` of `collector` is node_exporter's own. What a `.prom` file of its directory holds is
    /// served the same way: of a name that is there too, only the collector tells.
    pub fn owns(&self, name: &str, collector: &str, in_directory: impl Fn(&str) -> bool) -> bool {
        self.families.contains(name) && (self.collectors.contains(collector) || !in_directory(name))
    }
}

/// What the node_exporter at `url` serves. Takes `timeout` at most.
///
/// # Errors
/// Nobody answers in time, or not with the whole of a node_exporter's metrics: half of an answer tells nothing.
pub fn live(url: &str, timeout: Duration) -> Result<Live, Error> {
    let live = ask(url, timeout, read)?;
    check(url, live.families.contains(ALWAYS_THERE))?;
    Ok(live)
}

/// As [`live`], the whole text.
///
/// # Errors
/// As `live`.
pub fn scrape(url: &str, timeout: Duration) -> Result<Vec<u8>, Error> {
    let text = ask(url, timeout, |body| {
        let mut text = Vec::new();
        body.read_to_end(&mut text).map(|_| text)
    })?;
    check(url, text.split(|byte| *byte == b'\n').any(|line| line.starts_with(ALWAYS_THERE.as_bytes())))?;
    Ok(text)
}

/// That who answered is a node_exporter.
fn check(url: &str, is_one: bool) -> Result<(), Error> {
    let message = || format!("no node_exporter answers: it has no {ALWAYS_THERE}");
    if is_one { Ok(()) } else { Err(Error { url: url.to_owned(), message: message(), cure: CHECK_THE_URL }) }
}

/// What `take` makes of the body of the answer from `url`.
fn ask<T>(
    url: &str,
    timeout: Duration,
    take: impl FnOnce(&mut dyn BufRead) -> io::Result<T>,
) -> Result<T, Error> {
    let wrong = |message: String, cure| Error { url: url.to_owned(), message, cure };
    let failed = |error: ureq::Error| {
        let (message, cure) = explain(error, timeout);
        wrong(message, cure)
    };
    if url.starts_with("https:") {
        return Err(wrong("promdrop speaks no https".to_owned(), "name an http:// address of it"));
    }
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(timeout))
        // A host's own node_exporter is neither behind a proxy nor somewhere else than where it is said to be.
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .max_idle_connections(0)
        .accept("text/plain;version=0.0.4")
        .user_agent(concat!("promdrop/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    let mut response = agent.get(url).call().map_err(failed)?;
    let status = response.status();
    if status != 200 {
        let message = format!("it answers with status {}, not with metrics", status.as_u16());
        return Err(wrong(message, CHECK_THE_URL));
    }
    let mut body = BufReader::new(response.body_mut().with_config().limit(LARGEST).reader());
    take(&mut body).map_err(|error| failed(ureq::Error::from(error)))
}

/// What the lines of an exposition tell: every family has one of TYPE, every collector one of whether it succeeded.
fn read(text: &mut dyn BufRead) -> io::Result<Live> {
    let mut live = Live::default();
    let mut line = Vec::new();
    let word = |line: &[u8], before: &[u8], end: u8| {
        let word = line.strip_prefix(before)?.split(|byte| *byte == end).next()?;
        std::str::from_utf8(word).ok().map(str::to_owned)
    };
    while text.read_until(b'\n', &mut line)? > 0 {
        live.families.extend(word(&line, b"# TYPE ", b' '));
        live.collectors.extend(word(&line, b"node_scrape_collector_success{collector=\"", b'"'));
        line.clear();
    }
    Ok(live)
}

const CHECK_THE_URL: &str = "--node-exporter or PROMDROP_NODE_EXPORTER says where its /metrics are";
const IS_IT_RUNNING: &str = "is node_exporter running? --node-exporter or PROMDROP_NODE_EXPORTER says where";

/// What went wrong and its cure.
fn explain(error: ureq::Error, timeout: Duration) -> (String, &'static str) {
    use ureq::Error as E;
    let (message, cure) = match error {
        E::Timeout(_) => {
            let limit = humantime::format_duration(timeout);
            (format!("no whole answer within {limit}"), "see how long a scrape of it takes")
        }
        E::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => ("nothing listens there".to_owned(), IS_IT_RUNNING),
            io::ErrorKind::UnexpectedEof => ("its answer ends early".to_owned(), IS_IT_RUNNING),
            _ => (error.to_string(), IS_IT_RUNNING),
        },
        E::ConnectionFailed => ("can't connect".to_owned(), IS_IT_RUNNING),
        E::HostNotFound => ("there is no such host".to_owned(), CHECK_THE_URL),
        E::BodyExceedsLimit(_) => {
            (format!("its answer has more than {} MiB", LARGEST / 1024 / 1024), CHECK_THE_URL)
        }
        E::BadUri(_) | E::Http(_) => ("it is no URL".to_owned(), "write it as http://127.0.0.1:9100/metrics"),
        E::Protocol(error) => (format!("what answers speaks no HTTP: {error}"), CHECK_THE_URL),
        error => (error.to_string(), CHECK_THE_URL),
    };
    (message, cure)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::Instant;

    use super::*;

    /// What comes of asking a server that reads one request and then does `answer`.
    fn ask(
        timeout: Duration,
        answer: impl FnOnce(&mut TcpStream) + Send + 'static,
    ) -> Result<Vec<String>, String> {
        ask_at("127.0.0.1:0", timeout, answer)
    }

    /// As [`ask`], of a server at `address`.
    fn ask_at(
        address: &str,
        timeout: Duration,
        answer: impl FnOnce(&mut TcpStream) + Send + 'static,
    ) -> Result<Vec<String>, String> {
        let listener = TcpListener::bind(address).unwrap();
        let url = format!("http://{}/metrics", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            answer(&mut stream);
            String::from_utf8(request).unwrap()
        });
        let families = live(&url, timeout).map(|live| live.families);
        let request = server.join().unwrap();
        assert!(request.starts_with("GET /metrics HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("version=0.0.4") && !request.contains("gzip"), "{request}");
        let mut families: Vec<String> = match families {
            Ok(families) => families.into_iter().collect(),
            Err(error) => {
                let text = error.to_string();
                return Err(text.strip_prefix(&format!("{url}: ")).unwrap().to_owned());
            }
        };
        families.sort();
        Ok(families)
    }

    /// As [`ask`]; the server sends `text` and closes.
    fn answered(text: impl Into<String>) -> Result<Vec<String>, String> {
        let text = text.into();
        ask(PATIENCE, move |stream| stream.write_all(text.as_bytes()).unwrap())
    }

    const METRICS: &str = "# HELP a_b Some # TYPE c gauge\n# TYPE a_b gauge\na_b 1\n\
                           # TYPE node_exporter_build_info gauge\nnode_exporter_build_info 1\n";

    #[test]
    fn the_families_are_those_of_the_type_lines() {
        let expected = Ok(vec!["a_b".to_owned(), ALWAYS_THERE.to_owned()]);
        let length = METRICS.len();
        assert_eq!(
            answered(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{METRICS}")),
            expected
        );
        let (one, two) = METRICS.split_at(37);
        let chunks = format!("{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", one.len(), two.len());
        assert_eq!(
            answered(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")),
            expected
        );
    }

    #[test]
    fn half_of_an_answer_is_none() {
        let longer = METRICS.len() + 1;
        for head in [
            format!("Content-Length: {longer}\r\n\r\n{METRICS}"),
            format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{METRICS}\r\n", METRICS.len()),
            format!("Transfer-Encoding: chunked\r\n\r\n{longer:x}\r\n{METRICS}"),
            "Content-Le".to_owned(),
        ] {
            let error = answered(format!("HTTP/1.1 200 OK\r\n{head}")).unwrap_err();
            assert!(
                error.starts_with("its answer ends early\n   = is node_exporter running?"),
                "{head}: {error}"
            );
        }
    }

    #[test]
    fn what_is_no_node_exporter_is_not_believed() {
        for (answer, expected) in [
            (
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                "it answers with status 404, not with metrics",
            ),
            (
                "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
                "it answers with status 302, not with metrics",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n# TYPE a gauge\n",
                "no node_exporter answers: it has no node_exporter_build_info",
            ),
            ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "what answers speaks no HTTP: "),
        ] {
            let error = answered(answer).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
            assert!(error.ends_with(CHECK_THE_URL), "{error}");
        }
    }

    #[test]
    fn no_answer_is_waited_for_longer_than_it_may_take() {
        let limit = Duration::from_millis(300);
        let began = Instant::now();
        let expected = Err("no whole answer within 300ms\n   = see how long a scrape of it takes".to_owned());
        // Says nothing until promdrop has gone.
        let silent = ask(limit, |stream| drop(stream.read_to_end(&mut Vec::new())));
        assert_eq!(silent, expected);
        // Goes on for ever, slowly enough to be never large and quickly enough to be never silent.
        let dripping = ask(limit, |stream| {
            let mut head = String::from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            while stream.write_all(head.as_bytes()).is_ok() {
                head = "1\r\n#\r\n".to_owned();
                // Ends as soon as promdrop has gone.
                if stream.read(&mut [0]).is_ok() {
                    break;
                }
            }
        });
        assert_eq!(dripping, expected);
        assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    }

    #[test]
    fn an_answer_without_end_is_left() {
        let error = ask(PATIENCE, |stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            while stream.write_all(&[b'#'; 65536]).is_ok() {}
        });
        assert_eq!(error, Err(format!("its answer has more than 32 MiB\n   = {CHECK_THE_URL}")));
    }

    #[test]
    fn where_nobody_can_be_asked_it_says_why() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for (url, expected) in [
            (&*format!("http://{free}/metrics"), "nothing listens there\n   = is node_exporter running?"),
            ("https://127.0.0.1:9100/metrics", "promdrop speaks no https\n   = name an http:// address"),
            ("127.0.0.1:9100", "it is no URL\n   = write it as http://127.0.0.1:9100/metrics"),
            ("", "it is no URL\n   = write it as"),
            ("file:///metrics", "it is no URL\n   = write it as"),
        ] {
            let error = live(url, PATIENCE).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{url}: {expected}")), "{url}: {error}");
        }
    }

    #[test]
    fn an_address_may_be_of_ipv6() {
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{METRICS}", METRICS.len());
        let families = ask_at("[::1]:0", PATIENCE, move |stream| stream.write_all(text.as_bytes()).unwrap());
        assert_eq!(families.map(|families| families.len()), Ok(2));
    }

    #[test]
    fn a_name_that_a_file_serves_is_not_node_exporters() {
        let text = "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE node_scrape_collector_success gauge\n\
                    node_scrape_collector_success{collector=\"on\"} 0\n";
        let live = read(&mut text.as_bytes()).unwrap();
        for (name, collector, held, owns) in [
            ("a", "off", "", true),
            ("a", "off", "b", true),
            ("a", "off", "a", false),
            // Both have it: that is what must not be.
            ("a", "on", "a", true),
            ("c", "on", "", false),
        ] {
            assert_eq!(live.owns(name, collector, |name| name == held), owns, "{name} {collector} {held}");
        }
    }
}
