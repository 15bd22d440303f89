//! `y = x m / (1 - p)` with `m` drawn from {0, 1}, `P(m = 0) = p`; the identity outside training. Backward: `dx = dy m / (1 - p)`.
//!
//! The mask is not stored: value `i` of dropout `site` in a pass with key `k` hashes `(k, site, i)`, forwards and backwards
//! alike. The key of a pass comes from [`key`], so a resumed run draws the masks of the uninterrupted one.
//! Hash: the finaliser of `SplitMix64` (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).

use super::real::Real;
use crate::tape::{Backward, Grad, Mode, Node, Pass, Tape, Var};

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The factors of one dropout in one pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask {
    key: u64,
    threshold: u64,
    scale: f64,
}

impl Mask {
    fn new(pass_key: u64, p: f64, site: u32) -> Self {
        Self {
            key: mix(pass_key ^ mix(u64::from(site).wrapping_add(GOLDEN))),
            threshold: (p * 2f64.powi(32)) as u64,
            scale: 1.0 / (1.0 - p),
        }
    }

    /// The mask of a pass; nothing outside training or for `p = 0`.
    ///
    /// # Panics
    /// When `p` is not in [0, 1).
    pub(super) fn of(mode: &Mode, p: f64, site: u32) -> Option<Self> {
        assert!((0.0..1.0).contains(&p), "dropout: expected 0 <= p < 1, found {p}");
        (mode.training && p > 0.0).then(|| Self::new(mode.dropout_key, p, site))
    }

    /// 0 or `1 / (1 - p)` for each value in turn.
    pub(super) fn factors<R: Real>(self) -> impl Iterator<Item = R> {
        let scale = R::from_f64(self.scale);
        (0u64..).map(move |i| {
            let bits = mix(self.key.wrapping_add(i.wrapping_mul(GOLDEN))) >> 32;
            if bits < self.threshold { R::ZERO } else { scale }
        })
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Key of the masks of one shard in one step of a run.
#[must_use]
pub fn key(seed: u64, step: u64, shard: u64) -> u64 {
    let chain = |key: u64, x: u64| mix(key.wrapping_add(GOLDEN) ^ mix(x.wrapping_add(GOLDEN)));
    chain(chain(mix(seed), step), shard)
}

struct Dropout {
    x: Var,
    mask: Mask,
}

impl<R: Real> Tape<R> {
    /// Dropout with probability `p`, drawn for `site` in this pass; `x` itself outside training or for `p = 0`.
    ///
    /// # Panics
    /// When `p` is not in [0, 1).
    pub fn dropout(&mut self, x: Var, p: f64, site: u32) -> Var {
        let Some(mask) = Mask::of(&self.mode, p, site) else {
            return x;
        };
        let mut out = self.pool.take(self.value(x).len());
        for ((out, &x), factor) in out.iter_mut().zip(self.value(x)).zip(mask.factors::<R>()) {
            *out = x * factor;
        }
        let node = Node::new(self.shape(x), out).with_op(self.needs_grad(x), Dropout { x, mask });
        self.push(node)
    }
}

impl<R: Real> Backward<R> for Dropout {
    fn backward(&self, _: &mut Node<R>, grad: &Grad<R>, pass: &mut Pass<'_, R>) {
        let dx = grad
            .data
            .iter()
            .zip(self.mask.factors::<R>())
            .map(|(&dy, m)| dy * m);
        pass.tape.add_grad(self.x, dx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::check::{assert_gradients, check_gradients};
    use crate::tape::params::{Init, Layout};
    use std::sync::Arc;

    fn training(dropout_key: u64) -> Mode {
        Mode {
            training: true,
            dropout_key,
            ..Mode::default()
        }
    }

    fn drop_ones(mode: Mode, p: f64, site: u32) -> Vec<f32> {
        let mut tape = Tape::<f32>::default();
        tape.begin(mode);
        let x = tape.input(&[20_000], &[1.0; 20_000]);
        let y = tape.dropout(x, p, site);
        tape.value(y).to_vec()
    }

    #[test]
    fn the_way_back_uses_the_mask_of_the_way_forth() {
        let mut layout = Layout::default();
        let x = layout.declare("x", &[6, 5], Init::Uniform(1.0));
        let weights: Vec<f64> = (0..30).map(|i| f64::from(i % 5) + 0.5).collect();
        let check = check_gradients(&Arc::new(layout), 4, training(11), |tape, params| {
            let x = tape.param(params, x);
            let y = tape.dropout(x, 0.4, 2);
            let y = tape.tanh(y);
            tape.weighted_sum(y, &weights)
        });
        assert_gradients(&check, 1e-8);
    }

    #[test]
    fn the_share_of_zeros_is_p_and_the_mean_stays() {
        let y = drop_ones(training(key(1, 2, 3)), 0.3, 0);
        let zeros = y.iter().filter(|&&x| x == 0.0).count() as f64 / y.len() as f64;
        let mean = y.iter().map(|&x| f64::from(x)).sum::<f64>() / y.len() as f64;
        assert!((zeros - 0.3).abs() < 0.015, "{zeros}");
        assert!((mean - 1.0).abs() < 0.02, "{mean}");
    }

    #[test]
    fn masks_differ_by_site_step_shard_and_seed_and_repeat_otherwise() {
        let base = drop_ones(training(key(1, 2, 3)), 0.5, 0);
        assert_eq!(base, drop_ones(training(key(1, 2, 3)), 0.5, 0));
        for (k, site) in [
            (key(1, 2, 3), 1),
            (key(1, 2, 4), 0),
            (key(1, 3, 3), 0),
            (key(2, 2, 3), 0),
        ] {
            let other = drop_ones(training(k), 0.5, site);
            let equal = base.iter().zip(&other).filter(|(a, b)| a == b).count() as f64 / base.len() as f64;
            assert!((equal - 0.5).abs() < 0.02, "{equal}");
        }
    }

    #[test]
    fn outside_training_nothing_is_dropped() {
        assert_eq!(drop_ones(Mode::default(), 0.9, 0), [1.0; 20_000]);
    }
}
