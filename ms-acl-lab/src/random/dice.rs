//! Random decisions.

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// A source of random decisions that repeats itself for the same seed.
#[derive(Debug)]
pub struct Dice(TestRng);

impl Dice {
    /// The dice of a seed.
    pub fn from_seed(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Dice(TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
    }

    /// Dice that fall as these bytes say: small changes of them are small changes of what is drawn. Once
    /// they are used up every throw is the lowest.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Dice(TestRng::from_seed(RngAlgorithm::PassThrough, bytes))
    }

    /// Dice for a part of what these dice decide about.
    pub fn seed(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// True in so many cases of a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A number from 0 to `end` - 1; 0 where `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        // The remainder is a little uneven, which does no harm here.
        (self.0.next_u32() as usize).checked_rem(end).unwrap_or(0)
    }

    /// A number from `first` to `last`.
    pub fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    /// One of these, which are at least one.
    pub fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())].clone()
    }

    /// Each of these in so many cases of a hundred, in their order.
    pub fn some<T: Clone>(&mut self, all: &[T], percent: usize) -> Vec<T> {
        all.iter().filter(|_| self.chance(percent)).cloned().collect()
    }

    /// From `first` to `last` things.
    pub fn several<T>(&mut self, first: usize, last: usize, mut draw: impl FnMut(&mut Dice) -> T) -> Vec<T> {
        (0..self.between(first, last)).map(|_| draw(self)).collect()
    }

    /// The same things in another order.
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for place in (1..all.len()).rev() {
            all.swap(place, self.below(place + 1));
        }
    }
}
