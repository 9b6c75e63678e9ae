//! `promdrop push GROUP`: what was piped to a Pushgateway, published as the group's own file.

use std::process::ExitCode;
use std::time::Duration;

use super::arguments::max_age;
use super::input::taken_in;
use super::{FAILED, GOOD, USAGE, complain, exit_code, finish, misused, sweep};
use smol_str::SmolStr;

use crate::cli::{Places, Push};
use crate::collect::health::seconds;
use crate::collect::runner::{now, refusal, said};
use crate::collect::{Failure, Outcome};
use crate::exposition::{Family, Labels};
use crate::push::{self, Group, Host};
use crate::textfile::{Class, Directory, Error, Guard, Header, Kind, LOCK_FILE};

/// How long a push waits for the others of its group.
const WAIT: Duration = Duration::from_secs(30);

/// The arguments, checked.
struct Order {
    group: Group,
    replace: bool,
    max_age: Option<Duration>,
}

/// Publishes what stdin holds as the group's, or deletes the group. Exit status: 0 done, 1 refused or failed, and what
/// was there before stands; 2 wrong arguments, or no directory.
pub fn run(places: &Places, arguments: &Push) -> ExitCode {
    let Some(order) = Order::read(arguments) else { return ExitCode::from(USAGE) };
    let directory = Directory::open(&places.textfile_dir)
        .map(|directory| directory.with_node_exporter(&places.node_exporter));
    exit_code(directory.map_err(|error| error.to_string()).map(|directory| {
        let done = if arguments.delete { order.delete(&directory) } else { order.push(&directory) };
        done.map_or_else(
            |message| {
                complain(message);
                FAILED
            },
            |()| GOOD,
        )
    }))
}

impl Order {
    /// Checks every argument; says what is wrong with each.
    fn read(arguments: &Push) -> Option<Self> {
        let group = Group::parse(&arguments.group).map_err(|wrong| misused("GROUP", &wrong)).ok();
        let max_age = arguments.max_age.as_deref().map(max_age).transpose();
        let max_age = max_age.map_err(|wrong| misused("--max-age", &wrong)).ok();
        let mut group = group?;
        if group.has_instance() {
            let host = Host::read();
            group.leave_instance(|name| host.is(name));
        }
        Some(Self { group, replace: arguments.replace, max_age: max_age? })
    }

    fn push(&self, directory: &Directory) -> Result<(), String> {
        let file = self.group.file();
        // All that takes time comes before the lock; and nothing that is no longer true stands in the way of what is.
        let pushed = taken_in(&Labels::new(), true);
        sweep(directory, Some(&file));
        let failure = match pushed {
            Ok(pushed) => match self.publish(directory, &file, pushed) {
                Ok(()) => return Ok(()),
                Err(error) => Failure { detail: told(&error), ..refusal(&error) },
            },
            Err(detail) => Failure { detail, ..Failure::new(Outcome::Output, "it can't be read as metrics") },
        };
        // No new text came: the old one is held to its age too.
        sweep(directory, None);
        // Where that can't be published either, it is not what the operator has to mend first; and who waited in vain
        // for the others of the group does not queue again.
        if failure.outcome != Outcome::Lock {
            let _ = self.note_failure(directory, &file, &failure);
        }
        Err(failure.detail)
    }

    fn publish(&self, directory: &Directory, file: &str, pushed: Vec<Family>) -> Result<(), Error> {
        let lock = self.lock(directory, file)?;
        let at = now();
        // What is past its age, and only not swept yet, is not to become young again.
        let before = directory.previous(file)?.filter(|before| !before.header.is_past(at));
        let before = before.map(|before| {
            let families = before.families();
            if families.is_none() {
                complain(format_args!("promdrop: {file}: what was pushed before can't be read and is lost"));
            }
            families.unwrap_or_default()
        });
        let names: Vec<SmolStr> = pushed.iter().map(|family| family.name.clone()).collect();
        let header = self.header(file, Some(at), at);
        let mut families =
            push::pushed(before.unwrap_or_default(), pushed, &self.group, self.replace, seconds(at));
        if let Err(error) = directory.publish(&header, &families) {
            if error.class != Class::Conflict || !push::give_way(&mut families, &names, &error.families) {
                return Err(error);
            }
            directory.publish(&header, &families).map_err(|_| error.clone())?;
            complain(format_args!("{}\npromdrop: what is not pushed now was withdrawn", told(&error)));
        }
        drop(lock);
        finish(directory)
    }

    /// Publishes that this push failed, beside what was pushed before.
    fn note_failure(&self, directory: &Directory, file: &str, failure: &Failure) -> Result<(), Error> {
        let lock = self.lock(directory, file)?;
        let at = now();
        let failure = Some(said(failure));
        match directory.previous(file)? {
            Some(before) if self.owns(&before.header) => {
                directory.amend(file, |header, families| {
                    (header.slot, header.failure) = (Some(at), failure);
                    push::failed(families, &self.group, seconds(at));
                })?;
            }
            Some(_) => {}
            // A damaged file may still be served: it is not replaced by less.
            None if directory.stands(file) => {}
            None => {
                let mut families = Vec::new();
                push::failed(&mut families, &self.group, seconds(at));
                directory.publish(&Header { failure, ..self.header(file, None, at) }, &families)?;
            }
        }
        drop(lock);
        finish(directory)
    }

    fn delete(&self, directory: &Directory) -> Result<(), String> {
        let file = self.group.file();
        let deleted = || {
            let lock = self.lock(directory, &file)?;
            // Of another group or kind, it is not this one's to remove; and a group that is not there is deleted.
            if directory.previous(&file)?.is_none_or(|before| self.owns(&before.header)) {
                directory.withdraw_file(&file)?;
            }
            drop(lock);
            finish(directory)
        };
        let deleted = deleted().map_err(|error| told(&error));
        sweep(directory, None);
        deleted
    }

    /// Waits for the pushes of the same group that came first: each is published upon the one before.
    fn lock(&self, directory: &Directory, file: &str) -> Result<Guard, Error> {
        directory.lock_name(file, WAIT)?.ok_or_else(|| {
            let path = directory.path().join(LOCK_FILE);
            let message = format!("other pushes of {} took all of {} s", self.source(), WAIT.as_secs());
            Error::new(
                Class::Lock,
                &path,
                message,
                "push again; see who holds the lock: lsof, or /proc/locks",
            )
        })
    }

    fn owns(&self, header: &Header) -> bool {
        header.kind == Kind::Push && header.source == self.source()
    }

    fn source(&self) -> String {
        self.group.canonical()
    }

    fn header(&self, file: &str, last_success: Option<u64>, at: u64) -> Header {
        Header {
            slot: Some(at),
            last_success,
            max_age: self.max_age,
            ..Header::new(Kind::Push, self.source(), file)
        }
    }
}

fn told(error: &Error) -> String {
    format!("promdrop: {error}")
}
