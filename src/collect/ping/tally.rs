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

impl Tally {
    /// Standard deviation of the times, of the population.
    pub fn stddev(&self) -> f64 {
        if self.received == 0 { 0.0 } else { (self.squares / self.received as f64).sqrt() }
    }

    /// Share of the sent probes that no reply in time came to; `None` where none was sent.
    pub fn loss_ratio(&self) -> Option<f64> {
        (self.sent > 0).then(|| self.sent.saturating_sub(self.received) as f64 / self.sent as f64)
    }

    /// Interarrival jitter after the run, where it was `before` it, both in 16ths of a nanosecond: RFC 3550 section
    /// 6.4.1, by the integers of its appendix A.8. The difference in transit of two replies is that of their times; what
    /// lies between two runs is none.
    pub fn jitter(&self, before: u64) -> u64 {
        let differences =
            self.times.iter().zip(self.times.iter().skip(1)).map(|(one, next)| one.abs_diff(*next));
        differences.fold(before, |jitter, difference| {
            let nanoseconds = u64::try_from(difference.as_nanos()).unwrap_or(u64::MAX);
            jitter.saturating_add(nanoseconds).saturating_sub(jitter.saturating_add(8) >> 4)
        })
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

    /// Jitter in seconds of times in milliseconds.
    fn jitter(times: &[u64], before: u64) -> u64 {
        let mut tally = Tally::default();
        times.iter().for_each(|ms| tally.add(Duration::from_millis(*ms)));
        tally.jitter(before)
    }

    #[test]
    fn jitter_is_that_of_rfc_3550() {
        // J = J + (|D| - J) / 16, by hand, in nanoseconds: 0, then 16 ms apart, then 0 apart.
        assert_eq!(jitter(&[10], 0) >> 4, 0);
        assert_eq!(jitter(&[10, 26], 0) >> 4, 1_000_000);
        assert_eq!(jitter(&[26, 10], 0) >> 4, 1_000_000, "a difference has no sign");
        assert_eq!(jitter(&[10, 26, 26], 0) >> 4, 937_500);
    }

    #[test]
    fn jitter_goes_on_and_comes_to_what_it_is() {
        let alternating: Vec<u64> = (0..10).map(|n| 20 + n % 2 * 5).collect();
        let mut at = 0;
        let mut before = 0;
        for _ in 0..20 {
            at = jitter(&alternating, at);
            assert!(at > before, "{at} {before}");
            before = at;
        }
        let seconds = (at >> 4) as f64 / 1e9;
        assert!((0.00499..=0.005).contains(&seconds), "{seconds}");
        assert_eq!(jitter(&[], at), at, "a run without an answer tells nothing");
    }

    #[test]
    fn jitter_stays_within_its_numbers() {
        let mut tally = Tally::default();
        [Duration::ZERO, Duration::MAX, Duration::ZERO].into_iter().for_each(|time| tally.add(time));
        assert!(tally.jitter(u64::MAX) > 0);
    }
}
