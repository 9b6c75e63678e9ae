//! The one place where a file becomes visible.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use nix::sys::stat::{Mode, fchmod, fstat};
use nix::unistd::{Gid, Uid, fchown};
use tempfile::NamedTempFile;

use super::MAX_FILE;
use super::directory::Directory;
use super::error::{Class, Error};
use super::header::{Header, Kind, MAX_HEADER};
use super::meeting::{Helps, Meeting, Step, others};
use super::rewrite::{Change, take_help, withdraw};
use super::seen::{Claims, Owner, Seen};
use super::survey::Survey;
use crate::exposition::{self, Facts, Family};

/// How often a text is made anew because other files that hold its families have changed meanwhile.
const TRIES: usize = 3;

impl Directory {
    /// As [`publish_for`](Self::publish_for), for what no definition stands behind.
    ///
    /// # Errors
    /// As `publish_for`.
    pub fn publish(&self, header: &Header, families: &[Family]) -> Result<(), Error> {
        self.publish_for(&Claims::default(), header, families)
    }

    /// Publishes `families` as the file that `header` names, in the place of what promdrop published there before,
    /// where they contradict nothing that node_exporter would read beside them. A reader sees the old file or the new
    /// one. [`Directory::sync`] makes it last.
    ///
    /// What stands in the way is withdrawn first, where it counts as absent or gives way by `claims`. A family without
    /// HELP takes that of the directory; one that another file of the source has with another HELP, the newer one's; one
    /// of a push or job, that which stands in any other push, job or write.
    ///
    /// # Errors
    /// Of every [`Class`]; the old file stands then, and nothing is left behind.
    pub fn publish_for(&self, claims: &Claims, header: &Header, families: &[Family]) -> Result<(), Error> {
        self.publish_within(claims, header, families, self.patience())
    }

    /// As [`Directory::publish_for`], with the longest wait for the lock.
    fn publish_within(
        &self,
        claims: &Claims,
        header: &Header,
        families: &[Family],
        wait: Duration,
    ) -> Result<(), Error> {
        self.check_name(&header.file)?;
        let path = self.path().join(&header.file);
        for attempt in 0..TRIES {
            // All that takes time comes before the lock.
            let (text, facts) = self.draft(claims, header, families, attempt > 0)?;
            let temporary = self.write(&path, text.as_bytes())?;
            let lock = self.lock_publishing(wait)?;
            let mut survey = self.survey();
            survey.refresh(self, Seen::read)?;
            let Some(step) = self.meet(claims, header, (&text, &facts), &survey)? else { continue };
            let (gone, back) = self.stage_all(&step)?;
            // To write that took its time, and others take no lock.
            if !step.withdraw.is_empty()
                && survey.refresh(self, Seen::read)?
                && self.meet(claims, header, (&text, &facts), &survey)? != Some(step)
            {
                continue;
            }
            for change in gone {
                self.put(&mut survey, change)?;
            }
            keep_owner(header, &temporary, &survey);
            let renamed = rename(temporary, self, &header.file)
                .map_err(|e| self.refused(&path, "put it in place", e))?;
            if let Ok(stat) = fstat(&renamed) {
                survey.note(&header.file, &stat, Seen { owner: Owner::of(header), facts });
            }
            for change in back {
                // It is published: what can't come back does so when its file is next published.
                let _ = self.put_back(&mut survey, change);
            }
            drop(survey);
            drop(lock);
            return Ok(());
        }
        Err(unsettled(&path))
    }

    /// Whether [`publish_for`](Self::publish_for) would publish, as the directory is now: nothing is written, and no
    /// lock is taken.
    ///
    /// # Errors
    /// As `publish_for`, but for what only happens in writing.
    pub fn rehearse_for(&self, claims: &Claims, header: &Header, families: &[Family]) -> Result<(), Error> {
        self.check_name(&header.file)?;
        for attempt in 0..TRIES {
            let (text, facts) = self.draft(claims, header, families, attempt > 0)?;
            let mut survey = self.survey();
            survey.refresh(self, Seen::read)?;
            if self.meet(claims, header, (&text, &facts), &survey)?.is_some() {
                return Ok(());
            }
        }
        Err(unsettled(&self.path().join(&header.file)))
    }

    /// The text and what it holds, with the HELP that its families take from other files as far as those are known: of
    /// those that have none, or of `all`.
    fn draft(
        &self,
        claims: &Claims,
        header: &Header,
        families: &[Family],
        all: bool,
    ) -> Result<(String, Facts), Error> {
        let path = self.path().join(&header.file);
        let mut survey = self.survey();
        if survey.is_new() {
            survey.refresh(self, Seen::read)?;
            self.check_target(header, &survey)?;
        }
        let families = with_helps((self, claims, header), families, &survey, all);
        drop(survey);
        let (text, facts) = compose(&path, header, &families)?;
        self.check_optional(&path, &facts)?;
        Ok((text, facts))
    }

    /// What is to be done so that the text can be published; `None` where it would have another HELP if it were made
    /// now.
    fn meet(
        &self,
        claims: &Claims,
        header: &Header,
        (text, facts): (&str, &Facts),
        survey: &Survey<Seen>,
    ) -> Result<Option<Step>, Error> {
        self.check_target(header, survey)?;
        self.check_links(&header.file, survey)?;
        let meeting = Meeting::new(self, claims, header, (text.as_bytes(), facts), survey);
        if meeting.wants_other_help() { Ok(None) } else { meeting.step().map(Some) }
    }

    /// Writes what `step` makes of other files: as they are before the new file comes, and as they are after.
    fn stage_all(&self, step: &Step) -> Result<(Vec<Change>, Vec<Change>), Error> {
        let mut gone: Vec<Change> = step.remove.iter().cloned().map(Change::Removed).collect();
        let mut back = Vec::new();
        for (file, names) in &step.withdraw {
            gone.extend(self.stage(file, |_, there| withdraw(there, names))?);
            let Some(helps) = step.restore.get(file) else { continue };
            let for_good: Vec<String> =
                names.iter().filter(|name| !helps.contains_key(*name)).cloned().collect();
            back.extend(self.stage(file, |_, there| {
                there.retain(|family| !for_good.iter().any(|name| *name == family.name));
                for family in there {
                    if let Some(help) = helps.get(&*family.name) {
                        take_help(family, help.as_deref());
                    }
                }
            })?);
        }
        Ok((gone, back))
    }

    /// Writes `text` to a new temporary file that is safe on the disk.
    pub(super) fn write(&self, path: &Path, text: &[u8]) -> Result<NamedTempFile, Error> {
        let temporary = self.temporary()?;
        let mut file = temporary.as_file();
        set_mode(file).map_err(|e| Error::io(path, "set its mode", e))?;
        file.write_all(text).map_err(|e| Error::io(path, "write it", e))?;
        file.sync_all().map_err(|e| Error::io(path, "write it to disk", e))?;
        Ok(temporary)
    }
}

/// Leaves what a program wrote or pushed to the user whose it was, as far as this one may say so: or root's push would
/// keep that user from the next.
fn keep_owner(header: &Header, temporary: &NamedTempFile, survey: &Survey<Seen>) {
    let Some(entry) = survey.entry(&header.file) else { return };
    if matches!(header.kind, Kind::Write | Kind::Push) {
        let (owner, group) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
        let _ = fchown(temporary.as_file(), Some(owner), Some(group));
    }
}

/// Sets the mode of a file to be published: on the descriptor, since the umask would take from the mode it is created
/// with.
fn set_mode(file: &std::fs::File) -> nix::Result<()> {
    fchmod(file, Mode::from_bits_truncate(0o644))
}

#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(super) fn rename(
    temporary: NamedTempFile,
    directory: &Directory,
    file: &str,
) -> std::io::Result<std::fs::File> {
    temporary.persist(directory.anchor().join(file)).map_err(|e| e.error)
}

/// Whether `families` could be published where nothing else stands.
///
/// # Errors
/// [`Class::Invalid`] and [`Class::Limit`].
pub fn check(header: &Header, families: &[Family]) -> Result<(), Error> {
    compose(Path::new(&header.file), header, families).map(drop)
}

fn unsettled(path: &Path) -> Error {
    let message = "the other files that hold its families changed at every try";
    Error::new(Class::Lock, path, message, "see who else writes there")
}

/// `families`, with the HELP that they take from other files: those that have none, or, where one has met another HELP,
/// `all`.
fn with_helps<'a>(
    who: (&Directory, &Claims, &Header),
    families: &'a [Family],
    survey: &Survey<Seen>,
    all: bool,
) -> Cow<'a, [Family]> {
    let asking: BTreeSet<&str> =
        families.iter().filter(|family| all || family.help.is_none()).map(|family| &*family.name).collect();
    let helps = Helps::new(who, others(survey, &who.2.file), &asking);
    let mut families = Cow::Borrowed(families);
    for index in 0..families.len() {
        let take =
            |family: &Family| helps.take(&family.name, family.help.as_ref().map(|help| help.as_bytes()));
        if let Some(help) = families.get(index).and_then(take)
            && let Some(family) = families.to_mut().get_mut(index)
        {
            take_help(family, help);
        }
    }
    families
}

/// The text of a file, proven harmless by itself, and what it holds.
fn compose(path: &Path, header: &Header, families: &[Family]) -> Result<(String, Facts), Error> {
    let mut text = String::new();
    header.render(&mut text);
    if text.len() > MAX_HEADER {
        let message = format!("what it carries from run to run is larger than {MAX_HEADER} bytes");
        return Err(Error::new(Class::Limit, path, message, "split it over several names"));
    }
    exposition::render(families, &mut text);
    if text.len() > MAX_FILE {
        let message = format!("it would be {} bytes long, more than the {MAX_FILE} allowed", text.len());
        return Err(Error::new(
            Class::Limit,
            path,
            message,
            "expose fewer series, or split them over several names",
        ));
    }
    match exposition::prove(text.as_bytes()) {
        Ok(facts) => Ok((text, facts)),
        Err(problems) => {
            let path = path.to_owned();
            Err(Error { class: Class::Invalid, path, problems, text, families: Vec::new() })
        }
    }
}

#[cfg(test)]
mod tests;
