//! As much of foldhash as promdrop uses, with hashes of two bits.

/// Named as in foldhash.
pub mod fast {
    use std::hash::{BuildHasher, Hasher};

    /// Makes the bad hashers; there is nothing random about it.
    #[derive(Debug, Clone, Copy, Default)]
    pub struct RandomState;

    impl BuildHasher for RandomState {
        type Hasher = TwoBits;

        fn build_hasher(&self) -> TwoBits {
            TwoBits(0)
        }
    }

    /// The bad hasher.
    #[derive(Debug)]
    pub struct TwoBits(u64);

    impl Hasher for TwoBits {
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }

        fn finish(&self) -> u64 {
            self.0 >> 20 & 3
        }
    }
}
