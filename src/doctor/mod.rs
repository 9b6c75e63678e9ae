//! `promdrop doctor`: the whole way of the numbers on this host, step by step. What is asked of the host is asked once,
//! nothing is changed.
//!
//! A step is a file, and comes to a [`Check`]; `mod.rs` asks and puts them in order. From definitions (`definitions`) to
//! the directory (`place`), the service that writes there (`units`), the node_exporters that run (`exporters`,
//! `flags`) and read there (`reach`, `access`), ICMP (`icmp`), what starts promdrop (`starter`, `cron`), the
//! clock (`clock`) and the closed loop (`scrape`).

mod access;
mod check;
mod clock;
mod cron;
mod definitions;
mod drop_in;
mod exporters;
mod flags;
mod icmp;
mod place;
mod reach;
mod scrape;
mod starter;
mod units;

use std::path::{Path, PathBuf};

pub use check::{Check, Verdict};

use crate::collect::runner::now;
use crate::collect::{Collector, read_module};
use crate::config::load::{LoadError, Loaded, load_directory};
use crate::textfile::{self, Claims, Directory, Own};
use exporters::Exporter;
use reach::Way;
use scrape::Asked;
use starter::Starters;
use units::Unit;

type Loading = Loaded<Box<dyn Collector>>;

/// Where to look.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// The textfile directory.
    pub textfile_dir: &'a Path,
    /// Where a promdrop publishes that is started without being told.
    pub default_dir: &'a Path,
    /// The definitions.
    pub collectors_dir: &'a Path,
    /// The same, as headers name it.
    pub source: &'a str,
    /// Where node_exporter answers.
    pub node_exporter: &'a str,
    /// Whether that is only the default.
    pub is_default: bool,
}

impl Host<'_> {
    /// That `what` publishes elsewhere, where it does: to `told`, or where it is told nothing, to the default.
    fn elsewhere(&self, check: &'static str, what: &str, told: Option<String>) -> Option<Check> {
        let other = told.map_or_else(|| self.default_dir.to_owned(), PathBuf::from);
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if real(&other) == real(self.textfile_dir) {
            return None;
        }
        let (other, here) = (other.display(), self.textfile_dir.display());
        let message = format!("{what} publishes to {other}, and this looks at {here}");
        let cure =
            format!("say one directory for all: PROMDROP_TEXTFILE_DIR={here} in /etc/default/promdrop");
        Some(Check::failure(check, message, cure))
    }
}

/// What was seen of the host.
struct Sight {
    loaded: Result<Loading, LoadError>,
    directory: Result<Directory, textfile::Error>,
    exporters: Vec<Exporter>,
    units: Option<Vec<Unit>>,
    lines: Vec<cron::Start>,
    files: Vec<Own>,
    asked: Option<Asked>,
}

/// Walks the whole way; what each step came to. `claims` makes of the definitions what they claim of the directory.
pub fn examine(host: &Host<'_>, claims: impl Fn(&Loading) -> Claims) -> Vec<Check> {
    let sight = Sight::of(host);
    let mut checks = vec![definitions::check(host.collectors_dir, &sight.loaded)];
    checks.push(place::directory(host.textfile_dir, &sight.directory));
    let status = sight.directory.as_ref().ok().map(Directory::status);
    let [service, timer, _] = sight.units();
    if let Some(status) = &status {
        checks.push(place::file_system(host.textfile_dir, status));
        checks.extend(service.and_then(|unit| units::check(unit, host, status)));
    }
    if let Ok(loaded) = &sight.loaded {
        checks.extend(icmp::check(loaded, service));
    }
    let last_run =
        sight.loaded.as_ref().ok().map(|loaded| starter::last_run(loaded, host.source, &sight.files, now()));
    let starters = Starters {
        host,
        units: timer.zip(service),
        has_systemd: units::is_running(),
        daemon: starter::daemon(),
        lines: &sight.lines,
        has_run: last_run.as_ref().is_some_and(|check| check.verdict == Verdict::Ok),
    };
    checks.push(starters.check());
    checks.extend(last_run);
    let told = sight.asked.as_ref().and_then(Asked::told);
    let is_synchronized = told.and_then(|told| told.clock_sync).map(|status| status != 0.0);
    checks.push(clock::check(&sight.files, now(), is_synchronized));
    checks.extend(sight.of_exporter(host));
    if let Ok(directory) = &sight.directory {
        let claims = sight.loaded.as_ref().map(claims).unwrap_or_default();
        checks.push(scrape::foreign(directory, &claims));
    }
    checks.extend(sight.asked.as_ref().map(Asked::served));
    checks
}

impl Sight {
    fn of(host: &Host<'_>) -> Self {
        let directory = Directory::open_checked(host.textfile_dir);
        let status = directory.as_ref().ok().map(Directory::status);
        let exporters = exporters::running(host.textfile_dir, status.as_ref());
        let unit = exporters.first().and_then(|exporter| exporter.unit.as_deref());
        // A name that no unit has, where there is none: the answers come in the order of the names.
        let names = [units::SERVICE, units::TIMER, unit.unwrap_or("promdrop-none.service")];
        let units = units::is_running().then(|| units::show(&names)).flatten();
        let asked = directory.as_ref().ok().and_then(|directory| {
            scrape::ask(directory, host.node_exporter, host.is_default, &exporters).ok()
        });
        let seen = asked
            .as_ref()
            .and_then(|asked| asked.verified.as_ref().ok())
            .map(|verified| verified.files.clone());
        let files = seen.or_else(|| directory.as_ref().ok()?.own_files().ok()).unwrap_or_default();
        Self {
            loaded: load_directory(host.collectors_dir, &read_module),
            directory,
            exporters,
            units,
            lines: cron::starts(),
            files,
            asked,
        }
    }

    /// The service, the timer, and node_exporter's unit.
    fn units(&self) -> [Option<&Unit>; 3] {
        let unit = |at: usize| self.units.as_ref().and_then(|units| units.get(at));
        [unit(0), unit(1), unit(2)]
    }

    /// From the directory to node_exporter's answer.
    fn of_exporter(&self, host: &Host<'_>) -> Vec<Check> {
        let way = Way {
            path: host.textfile_dir,
            status: self.directory.as_ref().ok().map(Directory::status),
            exporters: &self.exporters,
            unit: self.units()[2],
            files: &self.files,
            answers: self.asked.as_ref().is_some_and(|asked| asked.verified.is_ok()),
            is_served: self.asked.as_ref().is_some_and(Asked::is_served),
        };
        let mut checks = vec![way.exporter()];
        checks.extend(self.asked.as_ref().and_then(Asked::version));
        checks.extend([way.same(), way.readable()]);
        checks.extend(self.asked.as_ref().map(|asked| asked.scrape(self.exporters.first())));
        checks
    }
}

/// `1 file`, `2 files`.
fn plural(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}
