//! Chance that can be had again.

use std::time::SystemTime;

/// Xorshift: what it chooses can be had again with PROMDROP_TEST_SEED.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Seeded by the clock, or as told. The seed is printed.
    pub fn new() -> Self {
        let given =
            std::env::var("PROMDROP_TEST_SEED").ok().map(|seed| seed.parse().expect("a seed is a number"));
        let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64;
        let seed = given.unwrap_or_else(now).max(1);
        println!("PROMDROP_TEST_SEED={seed}");
        Self(seed)
    }

    /// Another, for another thread.
    pub fn fork(&mut self) -> Self {
        // Far from this one's next numbers.
        Self(self.next().wrapping_mul(0x9e37_79b9_7f4a_7c15).max(1))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 up to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 up to `end`.
    pub fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 1) as usize) % end
    }

    /// One of `choices`.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}
