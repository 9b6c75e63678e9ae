//! The closed loop: a scrape of node_exporter in which promdrop's files really appear, with their times, series and
//! values.

mod compare;

use std::time::Duration;

pub use compare::{Fault, Finding, Given, Told, compare};

use crate::exporter;
use crate::textfile::{self, Directory, Own};

/// How often what was published anew meanwhile is looked at again.
const TRIES: usize = 4;

/// Why nothing can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// node_exporter can't be asked.
    Exporter(exporter::Error),
    /// The directory can't be looked at.
    Directory(textfile::Error),
}

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// What the last scrape told; its findings are of files that stood still.
    pub told: Told,
    /// promdrop's files, as they were before that scrape.
    pub files: Vec<Own>,
    /// Those that were published anew at each look, so that nothing is known of them.
    pub restless: Vec<String>,
}

/// Asks the node_exporter at `url` for what it serves, and compares it with promdrop's files in `directory`. Each of the
/// few scrapes, of which one is enough where nothing is published meanwhile, takes `timeout` at most.
///
/// # Errors
/// Where either can't be looked at.
pub fn verify(directory: &Directory, url: &str, timeout: Duration) -> Result<Verified, Error> {
    let mut before = directory.own_files().map_err(Error::Directory)?;
    let mut tries = 1..TRIES;
    loop {
        let scrape = exporter::scrape(url, timeout).map_err(Error::Exporter)?;
        let mut told = compare(&scrape, &before.iter().map(given).collect::<Vec<_>>());
        let after = directory.own_files().map_err(Error::Directory)?;
        let stood = |file: &str| {
            let find = |files: &[Own]| files.iter().position(|own| own.file == file);
            match (find(&before), find(&after)) {
                (Some(one), Some(two)) => before.get(one) == after.get(two),
                _ => false,
            }
        };
        let (settled, restless): (Vec<_>, Vec<_>) =
            std::mem::take(&mut told.findings).into_iter().partition(|finding| stood(&finding.file));
        told.findings = settled;
        if restless.is_empty() || tries.next().is_none() {
            let restless = restless.into_iter().map(|finding| finding.file).collect();
            return Ok(Verified { told, files: before, restless });
        }
        before = after;
    }
}

fn given(own: &Own) -> Given<'_> {
    Given { file: &own.file, modified: own.modified.0, text: &own.text }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;
    use std::thread;

    use super::*;
    use crate::textfile::{Header, Kind};

    fn publish(dir: &Path, value: usize) {
        let mut text = String::new();
        Header::new(Kind::Collector, "/c", "x.prom").render(&mut text);
        fs::write(dir.join("x.prom"), format!("{text}# TYPE a gauge\na {value}\n")).unwrap();
    }

    /// What comes of a node_exporter that answers the request of number `asked`, from 1 on, with the value `serves(asked)`,
    /// where the value `asked` is published anew before, as long as `moves(asked)`; and how often it was asked.
    fn verified(moves: fn(usize) -> bool, serves: fn(usize) -> usize) -> (Verified, usize) {
        let place = tempfile::tempdir().unwrap();
        publish(place.path(), 0);
        let directory = Directory::open(place.path()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/metrics", listener.local_addr().unwrap());
        let dir = place.path().to_owned();
        let server = thread::spawn(move || {
            let mut asked = 0;
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                if stream.read(&mut request).unwrap() == 0 {
                    return asked;
                }
                asked += 1;
                if moves(asked) {
                    publish(&dir, asked);
                }
                let time = fs::metadata(dir.join("x.prom")).unwrap().mtime();
                let served = serves(asked);
                let body = format!(
                    "node_exporter_build_info 1\nnode_textfile_mtime_seconds{{file=\"/d/x.prom\"}} {time}\na {served}\n"
                );
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
            }
        });
        let verified = verify(&directory, &url, exporter::PATIENCE).unwrap();
        drop(std::net::TcpStream::connect(url.trim_start_matches("http://").trim_end_matches("/metrics")));
        (verified, server.join().unwrap())
    }

    #[test]
    fn what_is_published_anew_meanwhile_is_looked_at_again() {
        let (still, asked) = verified(|_| false, |_| 0);
        assert!(still.told.findings.is_empty() && still.restless.is_empty());
        assert_eq!(asked, 1);
        let (once, asked) = verified(|asked| asked == 1, |_| 1);
        assert!(once.told.findings.is_empty() && once.restless.is_empty(), "{once:?}");
        assert_eq!(asked, 2);
        // One that stands still is what it is.
        let (wrong, asked) = verified(|_| false, |_| 7);
        assert!(matches!(&wrong.told.findings[..], [Finding { fault: Fault::Other { .. }, .. }]));
        assert_eq!(asked, 1);
        let (always, asked) = verified(|_| true, |asked| asked);
        assert_eq!((always.told.findings, always.restless), (vec![], vec!["x.prom".to_owned()]));
        assert_eq!(asked, TRIES);
    }
}
