//! A real server as a child process on a free loopback port, and what a test asks it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::wait_for;

/// How long a server may take to come up, or to answer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A program that `tests/run` keeps in `.test-parts`; `release` is the Debian release it comes from.
pub fn part(release: &str, program: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".test-parts").join(release).join(program);
    assert!(path.is_file(), "{} is not here: run tests/run, which fetches it", path.display());
    path
}

/// A program's package, as `tests/run` downloads it, to be installed in a machine of a test's own.
pub fn package(release: &str, name: &str) -> PathBuf {
    part(release, &format!("{name}.deb"))
}

/// A server that lives as long as this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// As [`start_at`](Self::start_at), on `port` of 127.0.0.1.
    pub fn start(command: Command, port: u16, log: &Path) -> Self {
        Self::start_at(command, SocketAddr::from(([127, 0, 0, 1], port)), log)
    }

    /// Starts `command`, which must log to stderr as Prometheus's servers do and listen where it is told by
    /// `--web.listen-address`: at `address`, on a free port where it has 0. Returns once it listens. The log goes to
    /// `log`.
    pub fn start_at(mut command: Command, address: SocketAddr, log: &Path) -> Self {
        let stderr = File::create(log).unwrap();
        command.arg(format!("--web.listen-address={address}"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        // Owned from here on, so that a server that doesn't come up is ended too.
        let mut server = Self { child, address };
        server.address = wait_for(PATIENCE, "the server listens", || {
            let text = fs::read_to_string(log).unwrap();
            if let Some(status) = server.child.try_wait().unwrap() {
                panic!("{command:?} ended with {status}:\n{text}");
            }
            listening(&text).ok_or(text)
        });
        server
    }

    /// The body of what it answers to `GET path`, which must be 200.
    pub fn get(&self, path: &str) -> String {
        self.ask(path).unwrap_or_else(|answer| panic!("GET {path}: {answer}"))
    }

    /// The bytes of the body of what it answers to `GET path`, `None` where it ended instead.
    pub fn ask_or_end(&mut self, path: &str) -> Option<Vec<u8>> {
        let mut answer = Vec::new();
        let asked = TcpStream::connect(self.address).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address).as_bytes())?;
            stream.read_to_end(&mut answer)
        });
        if asked.is_ok() && answer.starts_with(b"HTTP/1.0 200 ") {
            let head =
                answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an end of the head");
            return Some(answer.split_off(head + 4));
        }
        wait_for(PATIENCE, "the server ends, since it didn't answer", || {
            self.child.try_wait().unwrap().ok_or_else(|| format!("{asked:?}: {}", answer.escape_ascii()))
        });
        None
    }

    /// The body of what it answers to `GET path`, or the whole answer where it isn't 200.
    pub fn ask(&self, path: &str) -> Result<String, String> {
        ask(self.address, path).unwrap()
    }
}

/// The body of what the server at `address` answers to `GET path`, or the whole answer where it isn't 200.
///
/// # Errors
/// Where nobody answers.
pub fn ask(address: SocketAddr, path: &str) -> io::Result<Result<String, String>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // HTTP/1.0: neither chunks nor a connection that stays open.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of head and body");
    Ok(if head.split(' ').nth(1) == Some("200") { Ok(body.to_owned()) } else { Err(answer) })
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only where it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in the log line of exporter-toolkit (web/tls_config.go) that tells the real port.
fn listening(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once("msg=\"Listening on\" address=")?;
    // Only a whole line: the server may be writing it.
    rest.split_once('\n')?.0.trim().parse().ok()
}
