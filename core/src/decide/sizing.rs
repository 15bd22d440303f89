//! From what a model wants to what is held: volatility scaling, clipping, smoothing and a cap on turnover, step by step.
//!
//! For one symbol with the wish w in [-1, 1], its volatility σ and the held position z:
//!
//! ```text
//! a = w · target/σ                  with a target volatility
//! b = clip(a, ±max_position)
//! c = (1 - s) z + s b
//! z <- clip(z + cap(c - z), ±max_position)
//! ```
//!
//! The cap acts on all symbols together: where `Σ|c - z|` exceeds it every move shrinks by the same factor, so that it neither
//! prefers a symbol nor turns a move around. A wish that is not a finite number, or a volatility that is none or not positive,
//! asks for 0: what is not known is not held, at the pace that smoothing and cap allow.

use crate::error::DecideError;
use alloc::vec;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// How wishes become positions. The default passes them on within [-1, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sizing {
    /// Largest absolute position.
    pub max_position: f64,
    /// Volatility that a wish of one is scaled to, in the unit of the volatilities handed in; absent for no scaling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_volatility: Option<f64>,
    /// s: weight of the new position, in (0, 1]; 1 for no smoothing.
    pub smoothing: f64,
    /// Largest sum of absolute moves of a step; absent for no cap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_turnover: Option<f64>,
}

impl Default for Sizing {
    fn default() -> Self {
        Self {
            max_position: 1.0,
            target_volatility: None,
            smoothing: 1.0,
            max_turnover: None,
        }
    }
}

impl Sizing {
    /// Seed 002's policy, volatilities per year.
    pub const SEED_002: Self = Self {
        max_position: 0.25,
        target_volatility: Some(0.15),
        smoothing: 0.3,
        max_turnover: Some(0.5),
    };

    /// Checks ranges.
    ///
    /// # Errors
    /// [`DecideError::Setting`] with the first key out of range.
    pub fn validate(&self) -> Result<(), DecideError> {
        let positive = |key, found: f64| match found > 0.0 && found.is_finite() {
            true => Ok(()),
            false => Err(DecideError::Setting {
                key,
                expected: "a positive number",
                found,
            }),
        };
        positive("max_position", self.max_position)?;
        positive("target_volatility", self.target_volatility.unwrap_or(1.0))?;
        positive("max_turnover", self.max_turnover.unwrap_or(1.0))?;
        if self.smoothing > 0.0 && self.smoothing <= 1.0 {
            return Ok(());
        }
        Err(DecideError::Setting {
            key: "smoothing",
            expected: "a weight above 0, at most 1",
            found: self.smoothing,
        })
    }

    /// The clipped position that a wish asks for, before smoothing; nothing where wish or volatility is not known.
    #[must_use]
    pub fn asked(&self, wish: f64, volatility: f64) -> Option<f64> {
        let scaled = match self.target_volatility {
            Some(target) => scale(wish, volatility, target)?,
            None => wish,
        };
        scaled.is_finite().then(|| clip(scaled, self.max_position))
    }
}

/// `wish · target/volatility`; nothing where the volatility is not a positive number.
#[must_use]
pub fn scale(wish: f64, volatility: f64, target: f64) -> Option<f64> {
    (volatility > 0.0 && volatility.is_finite()).then(|| wish * target / volatility)
}

/// Held to ±`limit`; NaN stays NaN.
#[must_use]
pub fn clip(x: f64, limit: f64) -> f64 {
    if x > limit {
        limit
    } else if x < -limit {
        -limit
    } else {
        x
    }
}

/// `(1 - s) held + s asked`, written so that equal positions stay as they are.
#[must_use]
pub fn smooth(held: f64, asked: f64, s: f64) -> f64 {
    held + s * (asked - held)
}

/// Shrinks all moves from `held` to `next` by one factor, so that their absolute sum is at most `cap`.
///
/// # Panics
/// When the lengths differ.
pub fn cap_turnover(held: &[f64], next: &mut [f64], cap: f64) {
    assert_eq!(held.len(), next.len(), "held and next positions");
    let moves = turnover(held, next);
    if moves <= cap {
        return;
    }
    for (next, held) in next.iter_mut().zip(held) {
        *next = held + (*next - held) * (cap / moves);
    }
}

/// `Σ|next - held|`.
fn turnover(held: &[f64], next: &[f64]) -> f64 {
    let moves = held.iter().zip(next).map(|(held, next)| (next - held).abs());
    moves.sum()
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Sum of absolute moves.
    pub turnover: f64,
    /// Symbols whose wish or volatility was not known.
    pub n_unknown: usize,
}

/// The positions held in some symbols; a step does not allocate.
#[derive(Debug, Clone, PartialEq)]
pub struct Positions {
    sizing: Sizing,
    held: Vec<f64>,
    next: Vec<f64>,
}

impl Positions {
    /// No positions in `n_symbols` symbols.
    ///
    /// # Errors
    /// As [`Sizing::validate`].
    pub fn new(sizing: Sizing, n_symbols: usize) -> Result<Self, DecideError> {
        sizing.validate()?;
        Ok(Self {
            sizing,
            held: vec![0.0; n_symbols],
            next: vec![0.0; n_symbols],
        })
    }

    /// The positions held.
    #[must_use]
    pub fn held(&self) -> &[f64] {
        &self.held
    }

    /// Starts from given positions, such as those of a broker; what is not a finite number is refused.
    ///
    /// # Errors
    /// [`DecideError::Setting`] with the value.
    ///
    /// # Panics
    /// When there is not one per symbol.
    pub fn set_held(&mut self, held: &[f64]) -> Result<(), DecideError> {
        assert_eq!(held.len(), self.held.len(), "one position per symbol");
        if let Some(&found) = held.iter().find(|z| !z.is_finite()) {
            return Err(DecideError::Setting {
                key: "held",
                expected: "finite positions",
                found,
            });
        }
        self.held.copy_from_slice(held);
        Ok(())
    }

    /// Moves to what `wishes` ask for; `volatilities` are read with a target volatility only.
    ///
    /// # Panics
    /// When there is not one wish per symbol, or not one volatility where they are read.
    pub fn step(&mut self, wishes: &[f64], volatilities: &[f64]) -> Step {
        let n = self.held.len();
        assert_eq!(wishes.len(), n, "one wish per symbol");
        if self.sizing.target_volatility.is_some() {
            assert_eq!(volatilities.len(), n, "one volatility per symbol");
        }
        let mut n_unknown = 0;
        for (i, wish) in wishes.iter().enumerate() {
            let volatility = volatilities.get(i).copied().unwrap_or(f64::NAN);
            let asked = self.sizing.asked(*wish, volatility);
            n_unknown += usize::from(asked.is_none());
            self.next[i] = smooth(self.held[i], asked.unwrap_or(0.0), self.sizing.smoothing);
        }
        if let Some(cap) = self.sizing.max_turnover {
            cap_turnover(&self.held, &mut self.next, cap);
        }
        for next in &mut self.next {
            *next = clip(*next, self.sizing.max_position);
        }
        let turnover = turnover(&self.held, &self.next);
        core::mem::swap(&mut self.held, &mut self.next);
        Step { turnover, n_unknown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(sizing: Sizing) -> Positions {
        Positions::new(sizing, 1).unwrap()
    }

    #[test]
    fn the_steps_of_seed_002_are_those_computed_by_hand() {
        let mut positions = one(Sizing::SEED_002);
        // 0.8 · 0.15/0.6 = 0.2, smoothed from 0: 0.06; then 0.3 · 0.25 + 0.7 · 0.06.
        positions.step(&[0.8], &[0.6]);
        assert!((positions.held()[0] - 0.06).abs() < 1e-15);
        let step = positions.step(&[1.0], &[0.1]);
        assert!((positions.held()[0] - (0.3 * 0.25 + 0.7 * 0.06)).abs() < 1e-15);
        assert!((step.turnover - 0.057).abs() < 1e-15);
    }

    #[test]
    fn the_default_passes_wishes_on() {
        let mut positions = one(Sizing::default());
        for (wish, expected) in [(0.7, 0.7), (-1.0, -1.0), (3.0, 1.0), (-3.0, -1.0)] {
            positions.step(&[wish], &[]);
            assert_eq!(positions.held(), [expected]);
        }
    }

    #[test]
    fn smoothing_tends_to_what_is_asked() {
        let mut positions = one(Sizing {
            smoothing: 0.3,
            ..Sizing::default()
        });
        for step in 1..40 {
            positions.step(&[1.0], &[]);
            let expected = 1.0 - libm::pow(0.7, f64::from(step));
            assert!((positions.held()[0] - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn the_cap_shrinks_all_moves_alike() {
        let (held, mut next) = ([0.1, -0.2, 0.0], [0.5, -0.8, 0.0]);
        cap_turnover(&held, &mut next, 0.5);
        assert!((next[0] - 0.3).abs() < 1e-15 && (next[1] + 0.5).abs() < 1e-15);
        assert_eq!(next[2], 0.0);
        cap_turnover(&held, &mut next, 0.6);
        assert!((next[0] - 0.3).abs() < 1e-15, "moves below the cap stay");
    }

    #[test]
    fn what_is_not_known_is_given_up() {
        let mut positions = Positions::new(Sizing::SEED_002, 3).unwrap();
        positions.set_held(&[0.2, 0.2, 0.2]).unwrap();
        let step = positions.step(&[f64::NAN, 1.0, 1.0], &[0.2, 0.0, 0.6]);
        assert_eq!(step.n_unknown, 2);
        assert!((positions.held()[0] - 0.14).abs() < 1e-15);
        assert_eq!(positions.held()[0], positions.held()[1]);
        let mut plain = one(Sizing::default());
        assert_eq!(plain.step(&[f64::INFINITY], &[]).n_unknown, 1);
        assert_eq!(plain.held(), [0.0]);
        assert!(plain.set_held(&[f64::NAN]).is_err());
    }

    #[test]
    fn settings_out_of_range_and_unknown_keys_are_refused() {
        for text in [
            "max_position = 0.0",
            "smoothing = 0.0",
            "smoothing = 1.5",
            "target_volatility = -0.1",
            "max_turnover = nan",
        ] {
            let sizing: Sizing = toml::from_str(text).unwrap();
            assert!(sizing.validate().is_err(), "{text}");
        }
        assert!(toml::from_str::<Sizing>("max_leverage = 2.0").is_err());
        assert_eq!(toml::from_str::<Sizing>("").unwrap(), Sizing::default());
        let text = toml::to_string(&Sizing::SEED_002).unwrap();
        assert_eq!(toml::from_str::<Sizing>(&text).unwrap(), Sizing::SEED_002);
    }

    fn sizing() -> impl Strategy<Value = Sizing> {
        (
            0.05..2.0f64,
            prop::option::of(0.01..0.5f64),
            0.05..=1.0f64,
            prop::option::of(0.01..3.0f64),
        )
            .prop_map(
                |(max_position, target_volatility, smoothing, max_turnover)| Sizing {
                    max_position,
                    target_volatility,
                    smoothing,
                    max_turnover,
                },
            )
    }

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => -1.0..1.0f64,
            1 => Just(f64::NAN),
            1 => Just(f64::INFINITY),
            1 => any::<f64>(),
        ]
    }

    proptest! {
        #[test]
        fn positions_and_moves_keep_their_limits(
            sizing in sizing(),
            steps in prop::collection::vec((number(), number(), 0.0..1.0f64, number()), 1..40),
        ) {
            let mut positions = Positions::new(sizing, 2).unwrap();
            for (a, b, sigma, other) in steps {
                let before = positions.held().to_vec();
                let step = positions.step(&[a, b], &[sigma, other]);
                let held = positions.held();
                prop_assert!(held.iter().all(|z| z.abs() <= sizing.max_position));
                let moves: f64 = held.iter().zip(&before).map(|(z, held)| (z - held).abs()).sum();
                prop_assert!((moves - step.turnover).abs() < 1e-12);
                prop_assert!(sizing.max_turnover.is_none_or(|cap| moves <= cap * (1.0 + 1e-12)));
            }
        }

        #[test]
        fn no_move_turns_around_or_overshoots(sizing in sizing(), held in -0.05..0.05f64, wish in -1.0..1.0f64) {
            let mut positions = one(sizing);
            positions.set_held(&[held]).unwrap();
            positions.step(&[wish], &[0.2]);
            let (asked, now) = (sizing.asked(wish, 0.2).unwrap(), positions.held()[0]);
            let [low, high] = if held < asked { [held, asked] } else { [asked, held] };
            prop_assert!(low - 1e-12 <= now && now <= high + 1e-12, "{} {} {}", held, asked, now);
        }

        #[test]
        fn mirrored_wishes_give_mirrored_positions(sizing in sizing(), wishes in prop::collection::vec(-1.0..1.0f64, 1..20)) {
            let [mut a, mut b] = [one(sizing), one(sizing)];
            for wish in wishes {
                a.step(&[wish], &[0.3]);
                b.step(&[-wish], &[0.3]);
                prop_assert_eq!(a.held()[0], -b.held()[0]);
            }
        }
    }
}
