//! What is known of an address after a run. Pure.

use std::time::Duration;

use super::packet::ErrorKind;

/// What is known of an address. Times in seconds, unless they are durations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// Probes sent, those included that the kernel refused for want of a way to the target: lost like any other.
    pub sent: u64,
    /// Of these, the refused ones.
    pub refused: u64,
    /// Probes answered in time.
    pub received: u64,
    /// Further replies to probes that were answered.
    pub duplicates: u64,
    /// Replies that came after the timeout of their probe, while there was still somebody to hear them.
    pub late: u64,
    /// Of the answers, those that came after the answer to a later probe.
    pub out_of_order: u64,
    /// Probes that an ICMP error came back for, by kind, in the order of [`ErrorKind::ALL`].
    pub errors: [u64; ErrorKind::ALL.len()],
    /// Hop limit of the last answer, where it is known.
    pub hop_limit: Option<u8>,
    /// The times of the answers, one for each probe that was answered, in the order they came.
    pub times: Vec<Duration>,
    /// Shortest time.
    pub min: f64,
    /// Longest time.
    pub max: f64,
    /// Mean time.
    pub mean: f64,
    /// Sum of the squares of the differences from the mean (Welford's method, which loses no digits).
    squares: f64,
}

/// Interarrival jitter, as it goes on from run to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jitter {
    /// The last reply's time, in nanoseconds.
    pub last: u64,
    /// How many differences it is made of.
    pub differences: u64,
    /// It, in 16ths of a nanosecond.
    pub sixteenths: u64,
}

impl Jitter {
    /// It, in seconds; `None` where there was no difference yet.
    pub fn seconds(self) -> Option<f64> {
        (self.differences > 0).then(|| (self.sixteenths >> 4) as f64 / 1e9)
    }
}

impl Tally {
    /// Standard deviation of the times, of the population.
    pub fn stddev(&self) -> f64 {
        if self.received == 0 { 0.0 } else { (self.squares / self.received as f64).sqrt() }
    }

    /// Share of the sent probes that no reply in time came to; `None` where none was sent.
    pub fn loss_ratio(&self) -> Option<f64> {
        (self.sent > 0).then(|| self.sent.saturating_sub(self.received) as f64 / self.sent as f64)
    }

    /// Interarrival jitter after the run, of what it was `before`: RFC 3550 section 6.4.1, by the integers of its appendix
    /// A.8. The difference in transit of two replies is that of their times. `None` until one was answered.
    pub fn jitter(&self, before: Option<Jitter>) -> Option<Jitter> {
        let mut times = self.times.iter().map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let start = before.or_else(|| Some(Jitter { last: times.next()?, differences: 0, sixteenths: 0 }))?;
        Some(times.fold(start, |Jitter { last, differences, sixteenths }, time| {
            Jitter {
                last: time,
                differences: differences.saturating_add(1),
                sixteenths: sixteenths
                    .saturating_add(time.abs_diff(last))
                    .saturating_sub(sixteenths.saturating_add(8) >> 4),
            }
        }))
    }

    /// Takes the time of one more answer.
    pub fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        self.received += 1;
        self.times.push(time);
        let off = seconds - self.mean;
        self.mean += off / self.received as f64;
        self.squares += off * (seconds - self.mean);
        self.min = if self.received == 1 { seconds } else { self.min.min(seconds) };
        self.max = self.max.max(seconds);
    }

    /// Counts an ICMP error.
    pub fn add_error(&mut self, kind: ErrorKind) {
        if let Some(errors) = self.errors.get_mut(kind as usize) {
            *errors += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jitter(times: &[u64], before: Option<Jitter>) -> Option<Jitter> {
        let mut tally = Tally::default();
        times.iter().for_each(|ms| tally.add(Duration::from_millis(*ms)));
        tally.jitter(before)
    }

    fn seconds(times: &[u64]) -> Option<f64> {
        jitter(times, None).and_then(Jitter::seconds)
    }

    #[test]
    fn jitter_is_that_of_rfc_3550() {
        // J = J + (|D| - J) / 16, by hand: 16 ms apart, then 0 apart.
        assert_eq!(seconds(&[10, 26]), Some(0.001));
        assert_eq!(seconds(&[26, 10]), Some(0.001), "a difference has no sign");
        assert_eq!(seconds(&[10, 26, 26]), Some(0.000_937_5));
        assert_eq!([seconds(&[10]), seconds(&[])], [None, None], "no difference is no jitter");
    }

    #[test]
    fn jitter_goes_on_over_runs_and_comes_to_what_it_is() {
        let (mut at, mut before) = (None, 0.0);
        for run in 0..200 {
            at = jitter(&[20 + run % 2 * 5], at);
            let now = at.and_then(Jitter::seconds).unwrap_or(0.0);
            assert!(now > before || run == 0 || now >= 0.0049, "{run}: {now} {before}");
            before = now;
        }
        assert!((0.0049..=0.005).contains(&before), "{before}");
        assert_eq!(jitter(&[], at), at, "a run without an answer tells nothing");
    }

    #[test]
    fn jitter_stays_within_its_numbers() {
        let mut tally = Tally::default();
        [Duration::ZERO, Duration::MAX, Duration::ZERO].into_iter().for_each(|time| tally.add(time));
        let full = Jitter { last: u64::MAX, differences: u64::MAX, sixteenths: u64::MAX };
        assert!(tally.jitter(Some(full)).unwrap().sixteenths > 0);
    }
}
