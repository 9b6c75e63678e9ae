//! `promdrop write NAME`: exposition text from stdin, checked and published as NAME.prom.

use std::process::ExitCode;
use std::time::Duration;

use super::arguments::{labels, max_age, stem};
use super::input::{STDIN, taken_in};
use super::{FAILED, GOOD, USAGE, complain, exit_code, finish, misused, sweep};
use crate::cli::{Places, Write};
use crate::collect::health::seconds;
use crate::collect::runner::now;
use crate::config::fields::Stem;
use crate::config::yaml::Wrong;
use crate::exposition::{Descriptor, Family, Kind, Labels, count_series};
use crate::textfile::{self, Directory, Foreign};

const LAST_WRITE: Descriptor = Descriptor {
    name: "promdrop_write_last_timestamp_seconds",
    help: "When promdrop write last published the file, in seconds since the epoch.",
    kind: Kind::Gauge,
};
const MAX_AGE: Descriptor = Descriptor {
    name: "promdrop_write_max_age_seconds",
    help: "The age at which the file that promdrop write published is removed; 0 for never.",
    kind: Kind::Gauge,
};
const SERIES: Descriptor = Descriptor {
    name: "promdrop_write_series",
    help: "Series that promdrop write read for the file, without those about the file itself.",
    kind: Kind::Gauge,
};

/// The arguments, checked.
struct Order {
    name: Stem,
    labels: Labels,
    max_age: Option<Duration>,
    allow_empty: bool,
}

/// Publishes what stdin holds. Exit status: 0 published, 1 refused or failed, and what was there before stands; 2
/// wrong arguments, or no directory.
pub fn run(places: &Places, arguments: &Write) -> ExitCode {
    let Some(order) = Order::read(arguments) else { return ExitCode::from(USAGE) };
    let foreign = if arguments.adopt { Foreign::Adopted } else { Foreign::Adoptable };
    let directory = Directory::open(&places.textfile_dir)
        .map(|directory| directory.with_foreign(foreign).with_node_exporter(&places.node_exporter));
    exit_code(directory.map_err(|error| error.to_string()).map(|directory| order.carry_out(&directory)))
}

impl Order {
    /// Checks every argument; says what is wrong with each.
    fn read(arguments: &Write) -> Option<Self> {
        let told = |what: &str, wrong: Wrong| misused(what, &wrong);
        let name = stem(&arguments.name).map_err(|wrong| told("NAME", wrong)).ok();
        let labels = labels(&arguments.labels).map_err(|wrong| told("--label", wrong)).ok();
        let max_age = arguments.max_age.as_deref().map(max_age).transpose();
        let max_age = max_age.map_err(|wrong| told("--max-age", wrong)).ok();
        Some(Self { name: name?, labels: labels?, max_age: max_age?, allow_empty: arguments.allow_empty })
    }

    fn carry_out(&self, directory: &Directory) -> u8 {
        let file = textfile::collector_file(self.name.as_str());
        // First, so that nothing which is no longer true stands in the way of what is; but no moment without this
        // file before its new text is there. What can't be removed is for `run` to say.
        sweep(directory, Some(&file));
        let status = match taken_in(&self.labels, self.allow_empty)
            .and_then(|families| self.publish(directory, file, families))
        {
            Ok(()) => GOOD,
            Err(message) => {
                complain(message);
                FAILED
            }
        };
        if status == FAILED {
            // No new text came: the old one is held to its age too.
            sweep(directory, None);
        }
        status
    }

    fn publish(&self, directory: &Directory, file: String, mut families: Vec<Family>) -> Result<(), String> {
        let at = now();
        families.extend(self.about(at, &families));
        let header = textfile::Header {
            last_success: Some(at),
            max_age: self.max_age,
            ..textfile::Header::new(textfile::Kind::Write, STDIN, file)
        };
        let published = directory.publish(&header, &families).and_then(|()| finish(directory));
        published.map_err(|error| format!("promdrop: {error}"))
    }

    /// The families about the file itself.
    fn about(&self, at: u64, families: &[Family]) -> [Family; 3] {
        let series = count_series(families);
        let gauge = |descriptor: &Descriptor, value: f64| {
            let mut family = Family::new(descriptor);
            family.push(vec![("name".into(), self.name.to_string().into())], value);
            family
        };
        [
            gauge(&LAST_WRITE, seconds(at)),
            gauge(&MAX_AGE, self.max_age.map_or(0.0, |age| age.as_secs_f64())),
            gauge(&SERIES, series as f64),
        ]
    }
}
