//! What is told of a job, put into the directory: beside the job, in a thread of its own.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::unistd::geteuid;

use super::families::{families, observe};
use super::record::{Event, Own, Verdict, take_in};
use super::{About, life};
use crate::exposition::{Family, OWN_PREFIX};
use crate::textfile::{self, Class, Directory, Error, Header, Kind, Previous};

/// How long the end of a job waits for the directory.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// What of that is left for saying why it could not be told.
const MARGIN: Duration = Duration::from_millis(100);

/// How long the beginning of a job, and the sweep, wait for a lock.
const BRIEFLY: Duration = Duration::from_millis(300);

/// A job that has ended by then is told of once.
pub const SHORT: Duration = Duration::from_millis(20);

/// How long after a beginning could not be told it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Where it is told of a job, and what always is.
#[derive(Debug, Clone)]
pub struct Board {
    /// The textfile directory.
    pub place: PathBuf,
    /// Where node_exporter serves its metrics.
    pub node_exporter: String,
    /// What is told however its runs end.
    pub about: About,
}

/// A run's end, with the metrics of its own; `None` where those of the run before stay.
#[derive(Debug)]
pub struct Last {
    /// What happened.
    pub event: Event,
    /// Its own metrics.
    pub own: Option<Vec<Family>>,
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Told {
    /// Why its own metrics were refused, if they were.
    pub refused: Option<Error>,
}

impl Board {
    fn open(&self) -> Result<Directory, Error> {
        Ok(Directory::open(&self.place)?.with_node_exporter(&self.node_exporter))
    }

    /// Tells of `event` in one go, and waits until `deadline` for its locks; other runs of the job wait
    /// meanwhile, so that nothing of theirs is lost.
    fn tell(
        &self,
        directory: &mut Directory,
        event: &Event,
        own: Option<&[Family]>,
        deadline: Instant,
    ) -> Result<(), Error> {
        let file = textfile::exec_file(self.about.name.as_str());
        let patience = left(deadline);
        let Some(_turn) = directory.lock_name(&file, patience)? else {
            return Err(directory.locked(patience));
        };
        let source = source(geteuid().as_raw());
        let before = previous(directory, &file, &source)?;
        let mut all: Vec<Family> = match own {
            Some(own) => own.to_vec(),
            None => before.as_ref().and_then(|there| there.families()).unwrap_or_default(),
        };
        all.retain(|family| !family.name.starts_with(OWN_PREFIX));
        let mut header = before.map_or_else(|| Header::new(Kind::Exec, source, file), |there| there.header);
        header.max_age = self.about.max_age;
        take_in(&mut header, event, &life::lives);
        let times = match event {
            Event::Ended(ended, ..) if ended.verdict != Verdict::Spawn => vec![ended.duration],
            Event::Ended(..) | Event::Began(..) | Event::Skipped => Vec::new(),
        };
        all.extend(observe(&self.about, &mut header.state, &times));
        all.extend(families(&self.about, &header));
        directory.set_patience(left(deadline));
        directory.publish(&header, &all)
    }

    /// The removal took the job's file away with all others of promdrop's; one that came now would stand for ever.
    fn refuse_unwatched(&self, directory: &Directory) -> Result<(), Error> {
        let file = textfile::exec_file(self.about.name.as_str());
        if directory.previous(&file)?.is_some() {
            return Ok(());
        }
        let message = "promdrop was removed while the job ran, so that nothing is told of its end";
        Err(Error::new(Class::Refused, &self.place.join(file), message, ""))
    }

    /// As [`tell`](Self::tell); where the job's own metrics are refused, without them.
    fn tell_last(&self, directory: &mut Directory, last: &Last, deadline: Instant) -> Result<Told, Error> {
        if life::is_removed() {
            self.refuse_unwatched(directory)?;
        }
        let deadline = deadline.checked_sub(MARGIN).unwrap_or(deadline);
        let mut tell = |event: &Event, own: Option<&[Family]>| self.tell(directory, event, own, deadline);
        let Some(error) = tell(&last.event, last.own.as_deref()).err() else {
            return Ok(Told::default());
        };
        if !is_of_own(&error) {
            return Err(error);
        }
        match (last.event, last.own.as_deref()) {
            (Event::Ended(ended, running, own), Some([_, ..])) => {
                let own = Own { accepted: false, ..own };
                tell(&Event::Ended(ended, running, own), Some(&[]))?;
                Ok(Told { refused: Some(error) })
            }
            (event, None) => tell(&event, Some(&[])).map(|()| Told::default()),
            _ => Err(error),
        }
    }
}

/// Whether it may be for the job's own metrics that nothing can be published: they may contradict another file, or be
/// too large. On a disk that is full, what was told before is better than nothing.
fn is_of_own(error: &Error) -> bool {
    matches!(error.class, Class::Conflict | Class::Limit | Class::Invalid)
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn source(user: u32) -> String {
    format!("user {user}")
}

/// What this user's runs of the job have told. Whose a file is its owner says: its text, whoever may write
/// here can write.
fn previous(directory: &Directory, file: &str, source: &str) -> Result<Option<Previous>, Error> {
    let Some(there) = directory.previous(file)?.filter(|there| there.header.kind == Kind::Exec) else {
        // Another kind's is refused when it comes to it.
        return Ok(None);
    };
    if !there.is_this_users() {
        return Err(directory.wrong_source(file, &self::source(there.user), source));
    }
    Ok(Some(there).filter(|there| there.header.source == source))
}

/// Tells of a job while it runs.
#[derive(Debug)]
pub struct Herald {
    board: Board,
    /// `None` where no thread can be started.
    thread: Option<(Sender<Order>, Receiver<Answer>)>,
}

/// The end of a run, and until when it is to be told.
type Order = (Last, Instant);

/// What the thread says once it has told of the end; then it is silent until the sweep is over.
type Answer = Result<Told, Error>;

impl Herald {
    /// Tells of `began`, if anything, unless the job ends within `wait`. `sweep` is done once all is told.
    pub fn start(board: Board, began: Option<Event>, wait: Duration, sweep: fn(&Directory)) -> Self {
        let began = began.map(|began| (began, wait));
        let (lasts, last) = channel();
        let (answer, answers) = channel();
        let work = board.clone();
        let thread = thread::Builder::new().name("herald".into());
        let thread = thread.spawn(move || serve(&work, began, &last, &answer, sweep));
        Self { board, thread: thread.is_ok().then_some((lasts, answers)) }
    }

    /// Tells of the end, within [`PATIENCE`].
    ///
    /// # Errors
    /// Why it could not, with the cure.
    pub fn end(self, last: Last) -> Result<Told, String> {
        let deadline = Instant::now() + PATIENCE;
        let Some((lasts, answers)) = self.thread else {
            let told = self.board.open();
            let told = told.and_then(|mut directory| self.board.tell_last(&mut directory, &last, deadline));
            return told.map_err(|error| error.to_string());
        };
        let _ = lasts.send((last, deadline));
        match answers.recv_timeout(left(deadline)) {
            Ok(told) => {
                // The end of the sweep.
                let _ = answers.recv_timeout(left(deadline));
                told.map_err(|error| error.to_string())
            }
            Err(RecvTimeoutError::Timeout) => Err(format!(
                "{}: this took longer than {} s\n   = see whether its filesystem answers, and who holds the lock: lsof",
                self.board.place.display(),
                PATIENCE.as_secs()
            )),
            Err(RecvTimeoutError::Disconnected) => Err("a fault of promdrop's own".to_owned()),
        }
    }
}

fn serve(
    board: &Board,
    began: Option<(Event, Duration)>,
    last: &Receiver<Order>,
    answer: &Sender<Answer>,
    sweep: fn(&Directory),
) {
    let early = began.map_or(Ok(None), |(began, wait)| tell_of_beginning(board, &began, wait, last));
    let order = early.and_then(|early| early.map_or_else(|| last.recv(), Ok));
    // Without one promdrop is at its end.
    let Ok((last, deadline)) = order else { return };
    let mut directory = board.open();
    let told = directory.as_mut().map_err(|error| error.clone()).and_then(|directory| {
        let told = board.tell_last(directory, &last, deadline)?;
        directory.sync()?;
        Ok(told)
    });
    let is_told = told.is_ok();
    // Nobody may be waiting any more.
    let _ = answer.send(told);
    if let Ok(mut directory) = directory
        && is_told
    {
        directory.set_patience(BRIEFLY);
        sweep(&directory);
        let _ = directory.sweep_temporaries(SystemTime::now());
    }
}

/// Tells of `began`, again and again while a lock is in the way. The end of the run, where that comes first.
fn tell_of_beginning(
    board: &Board,
    began: &Event,
    mut wait: Duration,
    last: &Receiver<Order>,
) -> Result<Option<Order>, RecvError> {
    loop {
        match last.recv_timeout(wait) {
            Ok(order) => return Ok(Some(order)),
            Err(RecvTimeoutError::Disconnected) => return Err(RecvError),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let told = board.open().and_then(|mut directory| {
            let mut tell = |own| board.tell(&mut directory, began, own, Instant::now() + BRIEFLY);
            match tell(None) {
                Err(error) if is_of_own(&error) => tell(Some(&[])),
                told => told,
            }
        });
        match told {
            Err(error) if error.class == Class::Lock => wait = RETRY,
            // What else is wrong the end tells of.
            _ => return Ok(None),
        }
    }
}
