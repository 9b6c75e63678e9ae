//! `promdrop run [NAME...]`: what is due, run and published.
//!
//! A pass reads the definitions, sweeps, proves what is published against the directory, and starts what is due. There is
//! one pass at the start, one at each tick of `--every`, and, while a collector still runs, one whenever a slot of
//! another begins.

mod order;
mod pass;
mod proof;
mod words;

use std::collections::{HashMap, HashSet};
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::{
    FAILED, GOOD, Loading, MENDING, USAGE, claims, complain, describe, describe_swept, exit_code, finish,
    load, source,
};
use crate::cli::{self, Places};
use crate::collect::Outcome;
use crate::collect::alarm::{Alarm, Woken};
use crate::collect::crew::Crew;
use crate::collect::machine::Machine;
use crate::collect::overall::Overall;
use crate::collect::runner::{Report, Runner, now};
use crate::collect::stop::Stop;
use crate::config::fields::Stem;
use crate::config::load::Failed;
use crate::schedule::{Slots, Ticks};
use crate::textfile::{Audit, Directory, Fate, Others, Sweep};
use order::Order;
use pass::{Due, Pass, check_names};
use proof::Proof;
use words::{describe_loss, summary};

/// While a collector runs there is a pass so often, as there would be by the timer.
const TICK: Duration = Duration::from_secs(15);

/// Runs what the arguments name, or all that is due; the exit status.
pub fn run(places: &Places, arguments: &cli::Run) -> ExitCode {
    match Order::read(arguments) {
        Some(order) => exit_code(try_run(places, &order)),
        None => ExitCode::from(USAGE),
    }
}

fn try_run(places: &Places, order: &Order<'_>) -> Result<u8, String> {
    let start = Instant::now();
    let refused = |what: &str, e: nix::Error| format!("can't {what}: {}", e.desc());
    let stop = Stop::listen().map_err(|e| refused("listen for signals", e))?;
    let loaded = load(&places.collectors_dir)?;
    check_names(&loaded, order.names, &places.collectors_dir)?;
    let directory = Directory::open(&places.textfile_dir).map_err(|error| error.to_string())?;
    let directory = directory.with_node_exporter(&places.node_exporter);
    let alarm = Alarm::new().map_err(|e| refused("set an alarm", e))?;
    let machine = Machine::default();
    let shift = Shift {
        order,
        directory: &directory,
        stop: &stop,
        machine: &machine,
        places,
        // Someone who watches, or asked for a collector by name, is told everything.
        watched: !order.names.is_empty() || std::io::stderr().is_terminal(),
        start,
        ticks: order.ticks(now()),
        status: GOOD,
        batch: None,
        is_settled: true,
        started: HashMap::new(),
        told: HashSet::new(),
        proof: order.verify.map(|url| Proof::new(url, &directory)),
    };
    Ok(thread::scope(|scope| shift.serve(Crew::new(scope, &alarm, order.jobs), &alarm, loaded)))
}

/// One process of `run`, from its first pass to the end of its last collector.
struct Shift<'env> {
    order: &'env Order<'env>,
    directory: &'env Directory,
    stop: &'env Stop,
    machine: &'env Machine,
    places: &'env Places,
    watched: bool,
    start: Instant,
    ticks: Option<Ticks>,
    status: u8,
    /// What has been done and is not told of in promdrop.prom yet.
    batch: Option<Batch>,
    /// Whether all that was published is safe on the disk.
    is_settled: bool,
    /// The slot that each collector was last started for here: what can't be published leaves no other trace.
    started: HashMap<Stem, u64>,
    /// What is said once, however many passes find it.
    told: HashSet<String>,
    /// Whether node_exporter serves what was published, where that is to be looked at.
    proof: Option<Proof<'env>>,
}

/// What there is to say of what was run from one pass on.
struct Batch {
    began: u64,
    clock: Instant,
    source: PathBuf,
    enabled: usize,
    disabled: usize,
    failed: usize,
    others: Option<Others>,
}

impl<'env> Shift<'env> {
    fn serve<'scope>(mut self, mut crew: Crew<'scope, 'env>, alarm: &'env Alarm, first: Loading) -> u8 {
        let mut loaded = Some(first);
        loop {
            let at = now();
            let pass = loaded.take().and_then(|loaded| self.begin(&mut crew, loaded, at));
            let next = self.next(pass.as_deref(), at);
            if !self.wait(&mut crew, alarm, next) {
                break;
            }
            self.settle(&mut crew);
            if let Err(error) = self.directory.check_place() {
                // Nobody would read what is published now. The next process opens what is there then.
                self.fail(format_args!("promdrop: {error}"));
                self.wait(&mut crew, alarm, None);
                break;
            }
            // What can't be read now may be there again at the next pass.
            match load(&self.places.collectors_dir) {
                Ok(fresh) => loaded = Some(fresh),
                Err(message) => self.fail_once(format!("promdrop: {message}")),
            }
        }
        if self.stop.is_raised() {
            self.fail("promdrop: told to end: what ran was ended, what was published before stands");
        }
        self.status
    }

    /// Waits until the time of the `next` pass, telling of what ends meanwhile; whether there is to be one. Without it,
    /// what runs is waited for.
    fn wait<'scope>(&mut self, crew: &mut Crew<'scope, 'env>, alarm: &Alarm, next: Option<u64>) -> bool {
        loop {
            let stopped = self.stop.is_raised();
            if stopped {
                crew.start_no_more();
            }
            self.hear(crew);
            if crew.is_idle() {
                self.settle(crew);
                // A slot that has begun meanwhile found this promdrop running, and no other was started for it.
                let is_late = next.is_some_and(|next| next <= now());
                let is_over = stopped || next.is_none() || self.ticks.is_none() && !is_late;
                if is_over && !self.proof.as_ref().is_some_and(Proof::is_in_progress) {
                    return false;
                }
            }
            // What runs sees for itself that it is to end.
            let woken = if stopped { alarm.wait_for_ring() } else { alarm.wait(next, self.stop) };
            match woken {
                // Where it was set, whatever is due by it now.
                Ok(Woken::Clock) => return true,
                Ok(Woken::Rung | Woken::Stopped) => {}
                // Whoever still runs is waited for by the end of its thread.
                Err(error) => {
                    self.fail(format_args!("promdrop: can't wait: {}", error.desc()));
                    crew.start_no_more();
                    return false;
                }
            }
        }
    }

    /// When to look again for what is due, after a pass at `at`.
    fn next(&self, pass: Option<&Pass<'_>>, at: u64) -> Option<u64> {
        match self.ticks {
            Some(ticks) => ticks.next(at, self.start.elapsed()),
            None if !self.order.names.is_empty() => None,
            None => {
                // No timer starts another promdrop meanwhile: it is for this one to see what is new, and what is stale.
                let tick = Slots::new(TICK, Duration::ZERO).next(at);
                Some(pass.and_then(|pass| pass.next(at)).map_or(tick, |next| next.min(tick)))
            }
        }
    }

    /// Tells of what has ended.
    fn hear<'scope>(&mut self, crew: &mut Crew<'scope, 'env>) {
        for (stem, report) in crew.reports() {
            // The slot is served by whoever runs it now, or was; if not, the next pass may.
            if report.as_ref().is_none_or(|report| report.outcome == Outcome::Skipped) {
                self.started.remove(&stem);
            }
            report.iter().for_each(|report| self.tell(report));
        }
        self.hear_proof(crew);
    }

    /// Tells of what came of the comparison with a scrape, and publishes it.
    fn hear_proof<'scope>(&mut self, crew: &Crew<'scope, 'env>) {
        let Some(proof) = &mut self.proof else { return };
        let Some(heard) = proof.hear(self.watched) else { return };
        if !heard.verification.success {
            self.status = FAILED;
        }
        heard.lines.iter().for_each(complain);
        let published = proof.publish(self.directory).and_then(|()| finish(self.directory));
        if let Err(error) = published {
            self.fail(format_args!("promdrop: {error}"));
        }
        if let Some(proof) = &mut self.proof
            && !self.stop.is_raised()
        {
            proof.go_on(self.directory, crew);
        }
    }

    /// Sweeps and audits, and starts what is due; `None` where the directory can't be looked at.
    fn begin<'scope>(
        &mut self,
        crew: &mut Crew<'scope, 'env>,
        loaded: Loading,
        at: u64,
    ) -> Option<Arc<Pass<'env>>> {
        let clock = Instant::now();
        // Asked each time: it may be a link that leads elsewhere by now.
        let source = source(&self.places.collectors_dir);
        let claims = claims(&loaded, &source);
        let runner = Runner { directory: self.directory, stop: self.stop, claims, machine: self.machine };
        let pass = Arc::new(Pass { loaded, runner, due_or_not: !self.order.names.is_empty() });
        if let Err(error) = self.directory.look() {
            self.fail_once(format!("promdrop: {error}"));
            return None;
        }
        // First, so that nothing which is no longer true stands in the way of what is.
        let mut is_news = self.sweep(&pass) | self.proof.as_ref().is_some_and(Proof::failed);
        let (withdrawn, others) = self.audit(&pass);
        is_news |= withdrawn | Overall::is_due(self.directory, at);
        for failed in &pass.loaded.failed {
            if failed.stem.as_ref().is_none_or(|stem| self.order.wants(stem.as_str())) {
                is_news |= self.report_config(&pass.runner, failed, at);
            }
        }
        // One whose slot has come again while it still runs is passed over: that is counted when it runs next.
        self.hear(crew);
        let mut due = pass.due(self.order, at);
        due.retain(|due| !crew.is_busy_with(&due.stem) && self.started.get(&due.stem) != Some(&due.slot));
        self.started.extend(due.iter().map(|due| (due.stem.clone(), due.slot)));
        if is_news || !due.is_empty() {
            let definitions = &pass.loaded.definitions;
            let enabled = definitions.iter().filter(|definition| definition.header.enabled).count();
            let (disabled, failed) = (definitions.len() - enabled, pass.loaded.failed.len());
            self.is_settled = false;
            self.batch = Some(Batch { began: at, clock, source, enabled, disabled, failed, others });
        }
        self.start(crew, &pass, due, at);
        Some(pass)
    }

    /// Starts what is `due` of a pass at `at`.
    fn start<'scope>(
        &mut self,
        crew: &mut Crew<'scope, 'env>,
        pass: &Arc<Pass<'env>>,
        due: Vec<Due>,
        at: u64,
    ) {
        match due.as_slice() {
            // With nothing to do meanwhile, a single one needs no thread.
            [due] if self.next(Some(pass), at).is_none() => {
                pass.run(due.number).iter().for_each(|report| self.tell(report));
            }
            _ => {
                for Due { number, stem, .. } in due {
                    let pass = Arc::clone(pass);
                    crew.add(stem, move || pass.run(number));
                }
            }
        }
    }

    /// Removes what no definition claims any more or is past its age; whether there was anything.
    fn sweep(&mut self, pass: &Pass<'_>) -> bool {
        let Sweep { done, failed } = self.directory.sweep(&pass.runner.claims, &now, None, MENDING);
        for swept in &done {
            // What goes was to go, and a collector of this directory tells for itself how it is; but of another's whose
            // promdrop doesn't run any more nobody else would.
            let is_own = pass.runner.claims.definitions.contains_key(&swept.file);
            if self.watched || swept.fate == Fate::Stale && !is_own || swept.fate == Fate::Lost {
                complain(format_args!("promdrop: {}", describe_swept(swept)));
            }
        }
        if let Some(error) = &failed {
            self.fail(format_args!("promdrop: {error}"));
        }
        !done.is_empty()
    }

    /// Withdraws what others contradict; whether there was anything, and what is known of the others.
    fn audit(&mut self, pass: &Pass<'_>) -> (bool, Option<Others>) {
        let Audit { withdrawn, others, failed } = self.directory.audit(&pass.runner.claims);
        let is_news = !withdrawn.is_empty() || failed.is_some();
        withdrawn.iter().for_each(|withdrawn| self.fail(describe_loss(withdrawn)));
        if let Some(error) = failed {
            self.fail(format_args!("promdrop: {error}"));
        }
        (is_news, others)
    }

    /// Says how a collector's run ended.
    fn tell(&mut self, report: &Report) {
        self.is_settled = false;
        // Of what was ended with promdrop nothing is published, and one line at the end says so for all.
        if report.stopped {
            return;
        }
        if report.outcome != Outcome::Success && report.outcome != Outcome::Skipped {
            self.status = FAILED;
        }
        let text = describe(report);
        if (report.news || self.watched) && !text.is_empty() {
            complain(text);
        }
    }

    /// Says what is wrong with a definition and publishes it as health; whether anything was published.
    fn report_config(&mut self, runner: &Runner<'_>, failed: &Failed, at: u64) -> bool {
        self.status = FAILED;
        // Without a valid name there is no file to publish in; the exit status and stderr remain.
        let Some(stem) = &failed.stem else {
            self.fail_once(failed.to_string());
            return false;
        };
        let Some(report) = runner.config_failure(stem, &summary(failed), at) else {
            if self.watched {
                complain(failed);
            }
            return false;
        };
        if report.outcome != Outcome::Config && report.outcome != Outcome::Skipped {
            complain(describe(&report));
        }
        if report.news || self.watched {
            complain(failed);
        }
        report.outcome != Outcome::Skipped
    }

    /// Publishes what there is to say of the run as a whole, and makes all that was published last.
    fn settle<'scope>(&mut self, crew: &mut Crew<'scope, 'env>) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        if let Some(Batch { began, clock, source, enabled, disabled, failed, others }) = self.batch.take()
            && !self.stop.is_raised()
        {
            let verification = self.proof.as_ref().and_then(Proof::last);
            let took = clock.elapsed();
            let overall = Overall { began, took, enabled, disabled, failed, others, verification };
            if let Err(error) = overall.publish(self.directory, &source) {
                self.fail(format_args!("promdrop: {error}"));
            }
            // A scrape may take its time, and holds up nobody: what comes of it is told when it is there.
            if let Some(proof) = &mut self.proof {
                proof.begin(overall, source, self.directory, crew);
            }
        }
        if let Err(error) = finish(self.directory) {
            self.fail(format_args!("promdrop: {error}"));
        }
    }

    /// As [`fail`](Self::fail), of what the next pass may find again.
    fn fail_once(&mut self, message: String) {
        self.status = FAILED;
        if self.told.insert(message.clone()) {
            complain(message);
        }
    }

    fn fail(&mut self, message: impl std::fmt::Display) {
        complain(message);
        self.status = FAILED;
    }
}
