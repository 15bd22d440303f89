//! The last `n` values of a series and their moments, in constant time per value and without drift.
//!
//! A running sum that adds the new value and removes the oldest one gathers rounding errors for ever. Here
//!
//! 1. sums are kept in double-double arithmetic, which is exact for any ordinary run of prices or volumes;
//! 2. a second, fresh sum starts each time the ring wraps; `n` values later it covers exactly the window and
//!    replaces the running one. No error outlives `2n` values, and no step costs more than another;
//! 3. second moments are taken around the first value of the fresh sum, so that 95505.4 +- 0.01 keeps its digits:
//!    the relative error of the variance is near `2^-100 (D / s)^2`, `D` being the largest distance from that
//!    value within the last `2n`, `s` the standard deviation;
//! 4. a window of equal values is recognised by counting, and then mean and deviation are exact whatever came
//!    before.
//!
//! While the sums are exact, means depend on the window's values alone: a stream that starts later gives the same
//! bits. Deviations then agree within the error of point 3, nearly always hidden by the last rounding to f64.

use super::double::Double;
use crate::error::StateError;
use crate::saved::{Reader, Writer};
use alloc::boxed::Box;
use alloc::vec;

/// Sums over a window that can take a value in and give one back.
pub(super) trait Sums: Copy {
    /// Sums over nothing, to be kept relative to `reference`.
    fn around(reference: f64) -> Self;
    /// These sums with `x` added.
    fn with(self, x: f64) -> Self;
    /// These sums with `x` removed.
    fn without(self, x: f64) -> Self;
    fn save(&self, to: &mut Writer<'_>);
    fn restore(from: &mut Reader<'_>) -> Result<Self, StateError>;
}

/// `sum(x)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Total(Double);

impl Sums for Total {
    fn around(_reference: f64) -> Self {
        Self(Double::ZERO)
    }

    fn with(self, x: f64) -> Self {
        Self(self.0.plus_single(x))
    }

    fn without(self, x: f64) -> Self {
        Self(self.0.plus_single(-x))
    }

    fn save(&self, to: &mut Writer<'_>) {
        self.0.save(to);
    }

    fn restore(from: &mut Reader<'_>) -> Result<Self, StateError> {
        Double::restore(from).map(Self)
    }
}

/// `sum(x - reference)` and `sum((x - reference)^2)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    reference: f64,
    first: Double,
    second: Double,
}

impl Sums for Moments {
    fn around(reference: f64) -> Self {
        Self {
            reference,
            first: Double::ZERO,
            second: Double::ZERO,
        }
    }

    fn with(self, x: f64) -> Self {
        let d = Double::difference(x, self.reference);
        Self {
            first: self.first.plus(d),
            second: self.second.plus(d.squared()),
            ..self
        }
    }

    fn without(self, x: f64) -> Self {
        let d = Double::difference(x, self.reference);
        Self {
            first: self.first.minus(d),
            second: self.second.minus(d.squared()),
            ..self
        }
    }

    fn save(&self, to: &mut Writer<'_>) {
        to.f64(self.reference);
        self.first.save(to);
        self.second.save(to);
    }

    fn restore(from: &mut Reader<'_>) -> Result<Self, StateError> {
        Ok(Self {
            reference: from.f64()?,
            first: Double::restore(from)?,
            second: Double::restore(from)?,
        })
    }
}

/// What a window holds after a value arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<S> {
    sums: S,
    newest: f64,
    count: usize,
    flat: bool,
}

impl View<Total> {
    pub(super) fn mean(&self) -> f64 {
        if self.flat {
            return self.newest;
        }
        self.sums.0.value() / self.count as f64
    }
}

impl View<Moments> {
    pub(super) fn mean(&self) -> f64 {
        if self.flat {
            return self.newest;
        }
        let n = self.count as f64;
        Double::product(self.sums.reference, n)
            .plus(self.sums.first)
            .value()
            / n
    }

    /// Newest value minus mean, without the rounding of the mean.
    pub(super) fn excess(&self) -> f64 {
        if self.flat {
            return 0.0;
        }
        let n = self.count as f64;
        let distance = Double::difference(self.newest, self.sums.reference);
        distance.times(n).minus(self.sums.first).value() / n
    }

    /// Standard deviation with divisor `count - lost`; 0 while there are not more than `lost` values.
    pub(super) fn deviation(&self, lost: usize) -> f64 {
        if self.flat || self.count <= lost {
            return 0.0;
        }
        let n = self.count as f64;
        let spread = self.sums.second.times(n).minus(self.sums.first.squared()).value();
        let divisor = n * (self.count - lost) as f64;
        libm::sqrt(spread.max(0.0) / divisor)
    }
}

/// A ring of the last `n` values with their sums.
#[derive(Debug, Clone)]
pub(super) struct Window<S> {
    ring: Box<[f64]>,
    /// Slot of the oldest value once the ring is full, else the first free one.
    head: usize,
    count: usize,
    /// Newest values that are equal to each other.
    run: usize,
    newest: f64,
    running: S,
    /// Sums since the ring last wrapped.
    fresh: S,
}

impl<S: Sums> Window<S> {
    /// An empty window for `n >= 1` values.
    pub(super) fn new(n: usize) -> Self {
        Self {
            ring: vec![0.0; n].into_boxed_slice(),
            head: 0,
            count: 0,
            run: 0,
            newest: 0.0,
            running: S::around(0.0),
            fresh: S::around(0.0),
        }
    }

    pub(super) fn reset(&mut self) {
        self.head = 0;
        self.count = 0;
        self.run = 0;
    }

    pub(super) fn save(&self, to: &mut Writer<'_>) {
        to.f64s(&self.ring);
        to.count(self.head);
        to.count(self.count);
        to.count(self.run);
        to.f64(self.newest);
        self.running.save(to);
        self.fresh.save(to);
    }

    pub(super) fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), StateError> {
        let n = self.ring.len();
        from.f64s(&mut self.ring)?;
        self.head = from.count("place in a feature's window", n - 1)?;
        self.count = from.count("values of a feature's window", n)?;
        self.run = from.count("equal values of a feature's window", n)?;
        self.newest = from.f64()?;
        self.running = S::restore(from)?;
        self.fresh = S::restore(from)?;
        Ok(())
    }

    /// The window with `x` in it; only with `keep` does it stay there.
    pub(super) fn step(&mut self, x: f64, keep: bool) -> View<S> {
        let n = self.ring.len();
        let full = self.count == n;
        let wraps = self.head + 1 == n;
        let base = if self.head == 0 { S::around(x) } else { self.fresh };
        let fresh = base.with(x);
        let running = if full && !wraps {
            self.running.without(self.ring[self.head]).with(x)
        } else {
            fresh
        };
        let count = if full { n } else { self.count + 1 };
        let run = if self.count > 0 && x == self.newest {
            n.min(self.run + 1)
        } else {
            1
        };
        if keep {
            self.ring[self.head] = x;
            self.head = if wraps { 0 } else { self.head + 1 };
            self.count = count;
            self.run = run;
            self.newest = x;
            self.running = running;
            self.fresh = fresh;
        }
        View {
            sums: running,
            newest: x,
            count,
            flat: run >= count,
        }
    }
}

/// The value of `n` steps ago.
#[derive(Debug, Clone)]
pub(super) struct Delay {
    ring: Box<[f64]>,
    head: usize,
    count: usize,
}

impl Delay {
    /// A delay of `n >= 1` steps.
    pub(super) fn new(n: usize) -> Self {
        Self {
            ring: vec![0.0; n].into_boxed_slice(),
            head: 0,
            count: 0,
        }
    }

    pub(super) fn reset(&mut self) {
        self.head = 0;
        self.count = 0;
    }

    pub(super) fn save(&self, to: &mut Writer<'_>) {
        to.f64s(&self.ring);
        to.count(self.head);
        to.count(self.count);
    }

    pub(super) fn restore(&mut self, from: &mut Reader<'_>) -> Result<(), StateError> {
        let n = self.ring.len();
        from.f64s(&mut self.ring)?;
        self.head = from.count("place in a feature's delay", n - 1)?;
        self.count = from.count("values of a feature's delay", n)?;
        Ok(())
    }

    /// The value that came `n` steps before `x`, if there was one; only with `keep` is `x` remembered.
    pub(super) fn step(&mut self, x: f64, keep: bool) -> Option<f64> {
        let n = self.ring.len();
        let oldest = (self.count == n).then(|| self.ring[self.head]);
        if keep {
            self.ring[self.head] = x;
            self.head = if self.head + 1 == n { 0 } else { self.head + 1 };
            self.count = n.min(self.count + 1);
        }
        oldest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// A tick of 2^-36: prices near 95505.4 have all their 53 bits.
    const TICK: f64 = 1.0 / (1u64 << 36) as f64;

    /// Small deterministic noise in `-half..=half`.
    fn noise(state: &mut u64, half: i64) -> i64 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((*state >> 33) % (2 * half as u64 + 1)) as i64 - half
    }

    /// Mean and sample deviation of multiples of a tick, from exact integer sums.
    fn exact(values: &[i64]) -> (f64, f64) {
        let n = values.len() as i128;
        let first: i128 = values.iter().map(|&x| i128::from(x)).sum();
        let second: i128 = values.iter().map(|&x| i128::from(x) * i128::from(x)).sum();
        let spread = (n * second - first * first) as f64 / (n * (n - 1)) as f64;
        (first as f64 / n as f64 * TICK, libm::sqrt(spread) * TICK)
    }

    /// Feeds ticks and returns the largest relative errors of mean and deviation over all full windows past `skip`.
    fn worst(ticks: &[i64], n: usize, skip: usize) -> (f64, f64) {
        let mut window = Window::<Moments>::new(n);
        let mut errors = (0.0f64, 0.0f64);
        for (t, &x) in ticks.iter().enumerate() {
            let view = window.step(x as f64 * TICK, true);
            if t + 1 >= n.max(skip) {
                let (mean, deviation) = exact(&ticks[t + 1 - n..=t]);
                errors.0 = errors.0.max((view.mean() / mean - 1.0).abs());
                let error = if deviation == 0.0 {
                    view.deviation(1)
                } else {
                    view.deviation(1) / deviation - 1.0
                };
                errors.1 = errors.1.max(error.abs());
            }
        }
        errors
    }

    fn price(p: f64) -> i64 {
        (p / TICK) as i64
    }

    #[test]
    fn a_price_of_95505_that_moves_by_single_ulps_keeps_its_deviation() {
        let mut state = 1;
        let ticks: Vec<_> = (0..5000).map(|_| price(95505.4) + noise(&mut state, 2)).collect();
        for n in [2, 3, 20, 50, 257] {
            let (mean, deviation) = worst(&ticks, n, 0);
            assert!(mean < 3e-16 && deviation < 1e-15, "n {n}: {mean:e} {deviation:e}");
        }
    }

    #[test]
    fn a_jump_of_five_percent_does_not_blur_the_quiet_that_follows() {
        let mut state = 2;
        let level = |t: i64| if (t / 97) % 2 == 0 { 95505.4 } else { 100_280.7 };
        let ticks: Vec<_> = (0..5000)
            .map(|t| price(level(t)) + noise(&mut state, 50_000))
            .collect();
        let (mean, deviation) = worst(&ticks, 20, 0);
        assert!(mean < 3e-16 && deviation < 1e-11, "{mean:e} {deviation:e}");
    }

    #[test]
    fn a_crash_to_a_ten_thousandth_is_forgotten_within_two_windows() {
        let mut state = 3;
        let (n, crash) = (20, 1013);
        let level = |t| if t < crash { 95505.4 } else { 9.5 };
        let ticks: Vec<_> = (0..2000)
            .map(|t| price(level(t)) + noise(&mut state, 300))
            .collect();
        let (mean, deviation) = worst(&ticks[..crash], n, 0);
        assert!(mean < 3e-16 && deviation < 1e-15, "{mean:e} {deviation:e}");
        let (mean, deviation) = worst(&ticks, n, crash + 2 * n);
        assert!(mean < 3e-16 && deviation < 1e-15, "{mean:e} {deviation:e}");
    }

    #[test]
    fn equal_values_have_no_deviation_and_their_own_mean_after_any_past() {
        let mut totals = Window::<Total>::new(5);
        let mut moments = Window::<Moments>::new(5);
        for x in [1e100, 3.0, 1e-90, 7e55, 0.1, 0.1, 0.1, 0.1] {
            totals.step(x, true);
            moments.step(x, true);
        }
        assert_eq!(totals.step(0.1, true).mean(), 0.1);
        let view = moments.step(0.1, true);
        assert_eq!((view.mean(), view.excess(), view.deviation(1)), (0.1, 0.0, 0.0));
        assert!(moments.step(0.2, true).deviation(1) > 0.0);
    }

    #[test]
    fn a_huge_value_leaves_no_trace_two_windows_later() {
        let n = 50;
        let mut marked = Window::<Total>::new(n);
        let mut clean = Window::<Total>::new(n);
        for t in 0..400 {
            let x = 0.1 + f64::from(t % 7) / 3.0;
            let a = marked.step(if t == 37 { 1e100 } else { x }, true).mean();
            let b = clean.step(x, true).mean();
            if t >= 37 + 2 * n as i32 {
                assert_eq!(a.to_bits(), b.to_bits(), "value {t}");
            }
        }
    }

    #[test]
    fn windows_of_one_and_of_growing_length_count_what_they_hold() {
        let mut one = Window::<Total>::new(1);
        assert_eq!([3.0, 5.0, 5.0].map(|x| one.step(x, true).mean()), [3.0, 5.0, 5.0]);
        let mut growing = Window::<Moments>::new(4);
        assert_eq!(growing.step(2.0, true).deviation(1), 0.0);
        let view = growing.step(4.0, true);
        assert_eq!((view.mean(), view.excess(), view.deviation(0)), (3.0, 1.0, 1.0));
    }

    #[test]
    fn a_delay_gives_back_what_came_so_many_steps_before() {
        let mut delay = Delay::new(2);
        let out = [1.0, 2.0, 3.0, 4.0].map(|x| {
            delay.step(-x, false);
            delay.step(x, true)
        });
        assert_eq!(out, [None, None, Some(1.0), Some(2.0)]);
    }
}
