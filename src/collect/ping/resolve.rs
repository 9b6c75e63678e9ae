//! Host names to addresses, under a deadline.
//!
//! getaddrinfo(3) can't be told when to give up, so it runs in threads that are left behind when the time is over.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::collect::stop::Stop;

/// Names looked up at once. More only load the resolver.
const THREADS: usize = 32;

/// What was found for a name: its addresses in the resolver's order, or why there are none.
pub type Answer = Result<Vec<SocketAddr>, String>;

/// Asks the host's resolver (getaddrinfo: /etc/hosts, DNS, whatever nsswitch.conf says) for all addresses of `name`.
pub fn look_up(name: &str) -> io::Result<Vec<SocketAddr>> {
    std::net::ToSocketAddrs::to_socket_addrs(&(name, 0)).map(Iterator::collect)
}

/// Looks all `names` up by `look_up`, concurrently, and returns an answer for each, in their order. Those that are
/// not there at `deadline` or when `stop` is raised are answered with that.
pub fn resolve(
    names: &[&str],
    deadline: Instant,
    stop: &Stop,
    look_up: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Copy + Send + 'static,
) -> Vec<Answer> {
    let mut answers: Vec<Answer> =
        names.iter().map(|_| Err("the resolver did not answer in time".to_owned())).collect();
    if names.is_empty() {
        return answers;
    }
    // Each thread holds a writing end; the reading end hangs up when the last has finished.
    let (finished, running) = match io::pipe() {
        Ok(pipe) => pipe,
        Err(error) => return names.iter().map(|_| Err(format!("no pipe: {error}"))).collect(),
    };
    let queue: VecDeque<(usize, String)> =
        names.iter().enumerate().map(|(at, name)| (at, (*name).to_owned())).collect();
    let queue = Arc::new(Mutex::new(queue));
    let (results, found) = mpsc::channel();
    let mut started = 0;
    for _ in 0..names.len().min(THREADS) {
        let Ok(running) = running.try_clone() else { break };
        let (queue, results) = (Arc::clone(&queue), results.clone());
        let thread = thread::Builder::new().name("resolve".into()).spawn(move || {
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some((at, name)) = next else { break };
                if results.send((at, look_up(&name).map_err(|error| error.to_string()))).is_err() {
                    break;
                }
            }
            drop(running);
        });
        if thread.is_err() {
            break;
        }
        started += 1;
    }
    drop(running);
    if started == 0 {
        return names.iter().map(|_| Err("no thread can be started to look it up".to_owned())).collect();
    }
    stop.or_hangup(&finished, deadline);
    // Threads that hang find nothing more to do when they wake up.
    queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
    for (at, answer) in found.try_iter() {
        if let Some(slot) = answers.get_mut(at) {
            *slot = answer;
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn soon(limit: Duration) -> Instant {
        Instant::now() + limit
    }

    fn port(port: u16) -> Vec<SocketAddr> {
        vec![SocketAddr::from(([127, 0, 0, 1], port))]
    }

    #[test]
    fn every_name_gets_its_own_answer() {
        let stop = Stop::listen().unwrap();
        let names: Vec<String> = (1..=200).map(|n| n.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let answers = resolve(&names, soon(Duration::from_secs(60)), &stop, |name| {
            if name == "7" { Err(io::Error::other("no such name")) } else { Ok(port(name.parse().unwrap())) }
        });
        for (at, answer) in answers.iter().enumerate() {
            match at + 1 {
                7 => assert_eq!(answer, &Err("no such name".to_owned())),
                n => assert_eq!(answer, &Ok(port(u16::try_from(n).unwrap()))),
            }
        }
    }

    #[test]
    fn a_name_that_hangs_holds_up_no_other_and_not_the_run() {
        let stop = Stop::listen().unwrap();
        let begin = Instant::now();
        let answers = resolve(&["hangs", "answers"], soon(Duration::from_millis(300)), &stop, |name| {
            if name == "hangs" {
                loop {
                    thread::park();
                }
            }
            Ok(port(1))
        });
        assert_eq!(answers, [Err("the resolver did not answer in time".to_owned()), Ok(port(1))]);
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    }

    #[test]
    fn no_more_threads_than_the_bound_and_as_many() {
        static NOW: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let stop = Stop::listen().unwrap();
        // Each waits until the bound is reached, so that all run at once or the deadline passes.
        let names = vec!["x"; THREADS * 3];
        let answers = resolve(&names, soon(Duration::from_secs(60)), &stop, |_| {
            MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            while MOST.load(Ordering::SeqCst) < THREADS {
                thread::yield_now();
            }
            NOW.fetch_sub(1, Ordering::SeqCst);
            Ok(port(1))
        });
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(MOST.load(Ordering::SeqCst), THREADS);
    }
}
