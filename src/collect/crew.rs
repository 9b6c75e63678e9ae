//! The threads that collectors run in: a bounded number at a time, each collector in one of its own.

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, Scope};

use super::alarm::Alarm;
use super::runner::Report;
use crate::config::fields::Stem;

/// A collector's run; `None`: there was nothing to do.
type Task<'scope> = Box<dyn FnOnce() -> Option<Report> + Send + 'scope>;

/// Collectors at work, and those that wait for their turn.
pub struct Crew<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    alarm: &'env Alarm,
    most: usize,
    /// The collectors that run or wait.
    busy: HashSet<Stem>,
    running: usize,
    waiting: VecDeque<(Stem, Task<'scope>)>,
    sender: Sender<(Stem, Option<Report>)>,
    ended: Receiver<(Stem, Option<Report>)>,
}

impl<'scope, 'env> Crew<'scope, 'env> {
    /// At most `most` at a time, in threads of `scope`; each end rings `alarm`.
    pub fn new(scope: &'scope Scope<'scope, 'env>, alarm: &'env Alarm, most: usize) -> Self {
        let (sender, ended) = channel();
        Self {
            scope,
            alarm,
            most: most.max(1),
            busy: HashSet::new(),
            running: 0,
            waiting: VecDeque::new(),
            sender,
            ended,
        }
    }

    /// Whether collector `stem` runs, or waits to.
    pub fn is_busy_with(&self, stem: &Stem) -> bool {
        self.busy.contains(stem)
    }

    /// Whether nobody runs or waits.
    pub fn is_idle(&self) -> bool {
        self.busy.is_empty()
    }

    /// Has `task` run collector `stem`, once it is its turn.
    pub fn add(&mut self, stem: Stem, task: impl FnOnce() -> Option<Report> + Send + 'scope) {
        self.busy.insert(stem.clone());
        self.waiting.push_back((stem, Box::new(task)));
        self.start_waiting();
    }

    /// Has `work` done beside the collectors, whose end rings the alarm, too. Without a thread for it, it is done here.
    pub fn beside(&self, work: impl FnOnce() + Send + 'scope) {
        let alarm = self.alarm;
        let work = Arc::new(Mutex::new(Some(work)));
        let do_it = move || {
            let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
            // Whoever waits for what comes of it sees that nothing does.
            let _ = catch_unwind(AssertUnwindSafe(|| work.map(|work| work())));
            alarm.ring();
        };
        if Builder::new().spawn_scoped(self.scope, do_it.clone()).is_err() {
            do_it();
        }
    }

    /// Forgets who waits.
    pub fn start_no_more(&mut self) {
        for (stem, _) in self.waiting.drain(..) {
            self.busy.remove(&stem);
        }
    }

    /// Those that have ended since, with their reports.
    pub fn reports(&mut self) -> Vec<(Stem, Option<Report>)> {
        let mut reports = Vec::new();
        while let Ok((stem, report)) = self.ended.try_recv() {
            self.running -= 1;
            self.busy.remove(&stem);
            reports.push((stem, report));
        }
        self.start_waiting();
        reports
    }

    fn start_waiting(&mut self) {
        while self.running < self.most
            && let Some((stem, task)) = self.waiting.pop_front()
        {
            // Shared, so that it is not lost with a thread that can't be had.
            let task = Arc::new(Mutex::new(Some(task)));
            let work = {
                let (stem, task) = (stem.clone(), Arc::clone(&task));
                let (sender, alarm) = (self.sender.clone(), self.alarm);
                move || {
                    let report = do_it(&stem, &task);
                    let _ = sender.send((stem, report));
                    alarm.ring();
                }
            };
            self.running += 1;
            if Builder::new().spawn_scoped(self.scope, work).is_err() {
                // The limit of processes allows no more threads: those that there are do it all, or else this one.
                self.running -= 1;
                if self.running > 0 {
                    self.waiting.extend(take(&task).map(|task| (stem, task)));
                } else {
                    self.running += 1;
                    let report = do_it(&stem, &task);
                    let _ = self.sender.send((stem, report));
                    self.alarm.ring();
                }
                return;
            }
        }
    }
}

fn take<'scope>(task: &Mutex<Option<Task<'scope>>>) -> Option<Task<'scope>> {
    task.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn do_it(stem: &Stem, task: &Mutex<Option<Task<'_>>>) -> Option<Report> {
    // The runner has caught what a module may do. Without an end, the crew would be waited for for ever.
    catch_unwind(AssertUnwindSafe(take(task)?)).unwrap_or_else(|_| Some(Report::fault(stem)))
}
