//! The closed loop: what node_exporter answers, whether promdrop's files are in it, and what others do to them.

use super::check::Check;
use super::exporters::Exporter;
use super::plural;
use crate::exporter;
use crate::exposition::Harm;
use crate::textfile::{self, Claims, Directory};
use crate::verify::{Error, Finding, Told, Verified, verify};

const SCRAPE: &str = "scrape";
const VERSION: &str = "version";
const SERVED: &str = "served";
const FOREIGN: &str = "foreign-files";

/// What older versions do with files is not known.
const OLDEST: [u32; 3] = [1, 5, 0];

/// What came of asking.
pub struct Asked {
    /// Who was asked.
    pub url: String,
    /// What it told.
    pub verified: Result<Verified, exporter::Error>,
    /// Whether it is where promdrop was told.
    pub is_where_told: bool,
}

/// Asks the node_exporter at `url` or, where nobody has chosen that and nobody answers there, or one that serves something
/// else, where the first of `exporters` listens.
///
/// # Errors
/// Where the directory can't be looked at.
pub fn ask(
    directory: &Directory,
    url: &str,
    is_default: bool,
    exporters: &[Exporter],
) -> Result<Asked, textfile::Error> {
    let try_at = |url: &str| match verify(directory, url, exporter::PATIENCE) {
        Ok(verified) => Ok(Ok(verified)),
        Err(Error::Exporter(error)) => Ok(Err(error)),
        Err(Error::Directory(error)) => Err(error),
    };
    let mut asked = Asked { url: url.to_owned(), verified: try_at(url)?, is_where_told: true };
    let found = exporters.first().and_then(|exporter| exporter.flags.url());
    let is_wrong = asked.verified.as_ref().map_or(true, |verified| !verified.told.findings.is_empty());
    if let Some(found) = found.filter(|found| is_default && is_wrong && found != url) {
        let verified = try_at(&found)?;
        let is_better = verified.as_ref().is_ok_and(|found| {
            asked.verified.as_ref().map_or(true, |told| found.told.findings.len() < told.told.findings.len())
        });
        if is_better {
            asked = Asked { url: found, verified, is_where_told: false };
        }
    }
    Ok(asked)
}

impl Asked {
    /// What it told.
    pub fn told(&self) -> Option<&Told> {
        self.verified.as_ref().ok().map(|verified| &verified.told)
    }

    /// Whether all of promdrop's files, of which there are some, are in it.
    pub fn is_served(&self) -> bool {
        self.verified.as_ref().is_ok_and(|verified| {
            !verified.files.is_empty() && verified.told.findings.is_empty() && verified.restless.is_empty()
        })
    }

    /// Whether it answers, and without an error of its textfile collector.
    pub fn scrape(&self, exporter: Option<&Exporter>) -> Check {
        let url = &self.url;
        let told = match &self.verified {
            Ok(verified) => &verified.told,
            Err(error) => return unanswered(error, exporter),
        };
        if !self.is_where_told {
            let message = format!("node_exporter answers at {url}, and promdrop asks elsewhere");
            let cure = format!("PROMDROP_NODE_EXPORTER={url} in /etc/default/promdrop");
            return Check::warning(SCRAPE, message, cure);
        }
        match told.scrape_error {
            None => {
                let cure = "remove --no-collector.textfile, or add --collector.textfile to its options, and restart it";
                Check::failure(SCRAPE, format!("{url} answers without the textfile collector"), cure)
            }
            Some(error) if error != 0.0 => {
                let message =
                    format!("{url} answers, and node_textfile_scrape_error is {error}: a file is not read");
                Check::warning(SCRAPE, message, "see the steps below; node_exporter's log names the file")
            }
            Some(_) => Check::ok(SCRAPE, format!("{url} answers")),
        }
    }

    /// Whether its version is one that promdrop knows.
    pub fn version(&self) -> Option<Check> {
        let version = self.told()?.version.as_deref()?;
        Some(match is_older(version) {
            true => {
                let message = format!(
                    "node_exporter {version} is older than 1.5.0, the oldest that promdrop is tested with"
                );
                Check::warning(VERSION, message, "install a newer one")
            }
            false => Check::ok(VERSION, format!("node_exporter {version}")),
        })
    }

    /// Whether promdrop's files are in it.
    pub fn served(&self) -> Check {
        let Ok(Verified { told, files, restless }) = &self.verified else {
            return Check::skipped(SERVED, "node_exporter doesn't answer", "");
        };
        if files.is_empty() {
            return Check::skipped(SERVED, "promdrop has published nothing yet", "promdrop run");
        }
        let Some(Finding { file, fault }) = told.findings.first() else {
            if !restless.is_empty() {
                let why = format!("{} published anew at each look", plural(restless.len(), "file"));
                return Check::skipped(SERVED, why, "run promdrop doctor again");
            }
            let (files, series) = (plural(files.len(), "file"), told.series);
            return Check::ok(
                SERVED,
                format!("{files} with {series} series, all there with their times and values"),
            );
        };
        let more = match told.findings.len() {
            1 => String::new(),
            all => format!("; and {}", plural(all - 1, "more file")),
        };
        let cure = "mend what fails in the steps above; node_exporter's log tells why it leaves out a file";
        Check::failure(SERVED, format!("{file}: {fault}{more}"), cure)
    }
}

fn unanswered(error: &exporter::Error, exporter: Option<&Exporter>) -> Check {
    let message = format!("{}: {}", error.url, error.message);
    match exporter {
        Some(exporter) if exporter.flags.has_web_config => {
            let message = format!("{message}; a --web.config.file says how it is asked");
            let cure = "promdrop speaks no https and knows no password: have another node_exporter listen on a plain address \
                        of this host, or do without this step";
            Check::warning(SCRAPE, message, cure)
        }
        Some(Exporter { flags, .. }) => match flags.url() {
            None => {
                let message =
                    format!("{message}; the command line of node_exporter's process doesn't say where");
                let cure =
                    "PROMDROP_NODE_EXPORTER=http://HOST:PORT/metrics in /etc/default/promdrop says where";
                Check::warning(SCRAPE, message, cure)
            }
            Some(found) if found != error.url => {
                let cure = format!(
                    "it was told to listen there: PROMDROP_NODE_EXPORTER={found} in /etc/default/promdrop"
                );
                Check::failure(SCRAPE, message, cure)
            }
            Some(_) => Check::failure(SCRAPE, message, error.cure),
        },
        None => Check::failure(SCRAPE, message, error.cure),
    }
}

/// Whether the version is older than the oldest that is known; what can't be read is not.
fn is_older(version: &str) -> bool {
    let number = version.split(['-', '+', '~']).next().unwrap_or_default();
    let parts: Option<Vec<u32>> = number.split('.').map(|part| part.parse().ok()).collect();
    parts.is_some_and(|parts| parts.as_slice() < &OLDEST[..])
}

/// Whether files of others break promdrop's, or themselves.
pub fn foreign(directory: &Directory, claims: &Claims) -> Check {
    let (harmful, contradictions) = match (directory.harmful(), directory.contradictions(claims)) {
        (Ok(harmful), Ok(contradictions)) => (harmful, contradictions),
        (Err(error), _) | (_, Err(error)) => {
            let why = error.problems.first().map_or("", |problem| problem.message.as_str());
            return Check::skipped(FOREIGN, format!("the directory: {why}"), "");
        }
    };
    let more =
        |all: usize| if all > 1 { format!("; and {}", plural(all - 1, "more")) } else { String::new() };
    let lint = format!("promdrop lint {}", directory.path().display());
    if let Some(first) = contradictions.first() {
        let reason = first.reasons.first().map_or("", String::as_str);
        let message = format!("{}: {reason}{}", first.file, more(contradictions.len()));
        let cure = format!("rename one of the two, or remove the file that is not wanted; see `{lint}`");
        return Check::failure(FOREIGN, message, cure);
    }
    let worst =
        harmful.iter().reduce(|worst, next| if next.worst.harm > worst.worst.harm { next } else { worst });
    let Some(first) = worst else {
        return Check::ok(FOREIGN, "none breaks or shadows anything");
    };
    let (rule, what) = (first.worst.rule.name(), &first.worst.message);
    let message = format!("{}: {rule}: {what}{}", first.file, more(harmful.len()));
    let cure = format!("{}; see `{lint}`", first.worst.cure);
    match first.worst.harm {
        Some(Harm::Poison) => Check::failure(FOREIGN, message, cure),
        _ => Check::warning(FOREIGN, message, cure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_compared_by_its_numbers() {
        for (version, older) in [
            ("1.4.1", true),
            ("0.18.1", true),
            ("1.5.0", false),
            ("1.10.2", false),
            ("1.3.0-rc.1", true),
            ("", false),
            ("x", false),
        ] {
            assert_eq!(is_older(version), older, "{version}");
        }
    }
}
