//! Reproducible random numbers: SplitMix64 (Steele, Lea and Flood 2014) read as uniform f32.

/// A stream of numbers; equal seeds give equal streams.
#[derive(Debug, Clone)]
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform in [-bound, bound).
    pub(crate) fn next(&mut self, bound: f32) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((z ^ (z >> 31)) >> 40) as f32 / (1_u32 << 23) as f32;
        (unit - 1.0) * bound
    }

    pub(crate) fn vector(&mut self, n: usize, bound: f32) -> Vec<f32> {
        (0..n).map(|_| self.next(bound)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_in_range_and_come_back_with_their_seed() {
        let first = Noise::new(7).vector(1000, 0.5);
        assert!(first.iter().all(|v| (-0.5..0.5).contains(v)));
        assert_eq!(first, Noise::new(7).vector(1000, 0.5));
        assert_ne!(first, Noise::new(8).vector(1000, 0.5));
        let mean = first.iter().sum::<f32>() / 1000.0;
        assert!(mean.abs() < 0.05, "mean {mean}");
    }
}
