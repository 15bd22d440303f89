//! How plain PyTorch-layout matrices become the panels that lie in a model file, and back.
//!
//! A gate matrix `[4H, n_in]` (gates i, f, g, o stacked) becomes `[blocks, n_in, 4, 16]`, a dense matrix
//! `[n_out, n_in]` becomes `[panels, n_in, 16]`; bf16 and i16 interleave two neighbouring k: `[.., n_in / 2, .., 16, 2]`.
//! Missing units and the odd last k are zeros. Integers stand in units of their output. `format.md`, section "Panels", is normative.

use crate::simd::{FixedLane, LANES, Lane, PairLane};
use alloc::vec;
use alloc::vec::Vec;
use half::bf16;

/// Groups of sixteen that `n` units need.
#[must_use]
pub const fn n_blocks(n: usize) -> usize {
    n.div_ceil(LANES)
}

/// Where a unit stands: its block and its lane.
const fn place(unit: usize) -> (usize, usize) {
    (unit / LANES, unit % LANES)
}

/// `[4H, n_in]` to `[blocks, n_in, 4, 16]`.
#[must_use]
pub fn pack_gates(w: &[f32], n_hidden: usize, n_in: usize) -> Vec<[Lane; 4]> {
    let mut out = vec![[Lane::ZERO; 4]; n_blocks(n_hidden) * n_in];
    for (row, values) in w.chunks_exact(n_in).enumerate() {
        let (gate, (block, lane)) = (row / n_hidden, place(row % n_hidden));
        for (k, value) in values.iter().enumerate() {
            out[block * n_in + k][gate].0[lane] = *value;
        }
    }
    out
}

/// `[4H, n_in]` to bf16 `[blocks, n_in / 2, 4, 16, 2]`, rounded to nearest even.
#[must_use]
pub fn pack_gates_bf16(w: &[f32], n_hidden: usize, n_in: usize) -> Vec<[PairLane; 4]> {
    pair_up(&pack_gates(w, n_hidden, n_in), n_in)
}

/// `[4H]` to `[blocks, 4, 16]`.
#[must_use]
pub fn pack_gate_bias(b: &[f32], n_hidden: usize) -> Vec<[Lane; 4]> {
    pack_gates(b, n_hidden, 1)
}

/// `[n_out, n_in]` to `[panels, n_in, 16]`.
#[must_use]
pub fn pack_dense(w: &[f32], n_out: usize, n_in: usize) -> Vec<Lane> {
    let mut out = vec![Lane::ZERO; n_blocks(n_out) * n_in];
    for (row, values) in w.chunks_exact(n_in).enumerate() {
        let (panel, lane) = place(row);
        for (k, value) in values.iter().enumerate() {
            out[panel * n_in + k].0[lane] = *value;
        }
    }
    out
}

/// `[n_out, n_in]` to bf16 `[panels, n_in / 2, 16, 2]`, rounded to nearest even.
#[must_use]
pub fn pack_dense_bf16(w: &[f32], n_out: usize, n_in: usize) -> Vec<PairLane> {
    let single: Vec<[Lane; 1]> = pack_dense(w, n_out, n_in)
        .into_iter()
        .map(|lane| [lane])
        .collect();
    pair_up(&single, n_in).into_iter().map(|[lane]| lane).collect()
}

/// `[n_out]` to `[panels, 16]`.
#[must_use]
pub fn pack_dense_bias(b: &[f32]) -> Vec<Lane> {
    pack_dense(b, b.len(), 1)
}

/// `[blocks, n_in, 4, 16]` back to `[4H, n_in]`.
#[must_use]
pub fn unpack_gates(panels: &[[Lane; 4]], n_hidden: usize, n_in: usize) -> Vec<f32> {
    let at = |row: usize, k: usize| {
        let (block, lane) = place(row % n_hidden);
        panels[block * n_in + k][row / n_hidden].0[lane]
    };
    (0..4 * n_hidden)
        .flat_map(|row| (0..n_in).map(move |k| at(row, k)))
        .collect()
}

/// `[panels, n_in, 16]` back to `[n_out, n_in]`.
#[must_use]
pub fn unpack_dense(panels: &[Lane], n_out: usize, n_in: usize) -> Vec<f32> {
    let at = |row: usize, k: usize| {
        let (panel, lane) = place(row);
        panels[panel * n_in + k].0[lane]
    };
    (0..n_out)
        .flat_map(|row| (0..n_in).map(move |k| at(row, k)))
        .collect()
}

/// Panels of integers and what they are multiplied by.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedPanels<P, U> {
    /// `[.., n_in / 2, .., 16, 2]`.
    pub panels: Vec<P>,
    /// The unit of every output.
    pub units: Vec<U>,
}

/// Gate panels `[blocks, n_in / 2, 4, 16, 2]` and units `[blocks, 4, 16]`.
pub type FixedGates = FixedPanels<[FixedLane; 4], [Lane; 4]>;

/// Panels `[panels, n_in / 2, 16, 2]` and units `[panels, 16]`.
pub type FixedDense = FixedPanels<FixedLane, Lane>;

/// `[4H, n_in]` to integers `[blocks, n_in / 2, 4, 16, 2]` and units `[blocks, 4, 16]`.
#[must_use]
pub fn pack_gates_i16(w: &[f32], n_hidden: usize, n_in: usize) -> FixedGates {
    let (integers, units) = fixed_rows(w, n_in);
    FixedPanels {
        panels: fix(&pack_gates(&integers, n_hidden, n_in), n_in),
        units: pack_gate_bias(&units, n_hidden),
    }
}

/// `[n_out, n_in]` to integers `[panels, n_in / 2, 16, 2]` and units `[panels, 16]`.
#[must_use]
pub fn pack_dense_i16(w: &[f32], n_out: usize, n_in: usize) -> FixedDense {
    let (integers, units) = fixed_rows(w, n_in);
    let single = |lanes: Vec<Lane>| -> Vec<[Lane; 1]> { lanes.into_iter().map(|lane| [lane]).collect() };
    let panels = fix(&single(pack_dense(&integers, n_out, n_in)), n_in);
    FixedPanels {
        panels: panels.into_iter().map(|[lane]| lane).collect(),
        units: pack_dense_bias(&units),
    }
}

/// Largest sum of the magnitudes of a row's integers: times [`FixedLane::LIMIT`] it is an i32.
const SUM_LIMIT: f64 = (i32::MAX / FixedLane::LIMIT) as f64;

/// Rows below this magnitude are zeros.
const SMALLEST: f64 = 1e-30;

/// Rows `[.., n_in]` as integers, nearest even, and the unit of each row.
fn fixed_rows(w: &[f32], n_in: usize) -> (Vec<f32>, Vec<f32>) {
    let rows = w.chunks_exact(n_in);
    let units: Vec<f32> = rows.clone().map(row_unit).collect();
    let integer = |w: &f32, unit: f32| match unit > 0.0 {
        true => libm::rint(f64::from(*w) / f64::from(unit)) as f32,
        false => 0.0,
    };
    let each = rows.zip(&units);
    let integers = each.flat_map(|(row, unit)| row.iter().map(move |w| integer(w, *unit)));
    (integers.collect(), units)
}

/// The smallest unit that keeps a row's integers within i16 and their sum within [`SUM_LIMIT`], wherever they are rounded to.
fn row_unit(row: &[f32]) -> f32 {
    let magnitudes = row.iter().map(|w| f64::from(w.abs()));
    let largest = magnitudes.clone().fold(0.0, f64::max);
    if largest < SMALLEST {
        return 0.0;
    }
    let room = (SUM_LIMIT - 1.0 - row.len() as f64 / 2.0).max(1.0);
    (largest / f64::from(i16::MAX)).max(magnitudes.sum::<f64>() / room) as f32
}

/// Two neighbouring k of every block, whole numbers, as pairs of i16, even k in the low half.
fn fix<const G: usize>(panels: &[[Lane; G]], n_in: usize) -> Vec<[FixedLane; G]> {
    let word = |low: f32, high: f32| u32::from(low as i16 as u16) | u32::from(high as i16 as u16) << 16;
    in_pairs(panels, n_in, |low, high| {
        FixedLane(core::array::from_fn(|lane| word(low.0[lane], high.0[lane])))
    })
}

/// Pairs of integers back to single k in f32.
#[must_use]
pub fn unfix<const G: usize>(panels: &[[FixedLane; G]], units: &[[Lane; G]], n_in: usize) -> Vec<[Lane; G]> {
    let value = |word: u32, odd: bool| if odd { (word >> 16) as i16 } else { word as i16 };
    let half = |pair: &[FixedLane; G], units: &[Lane; G], odd: bool| {
        let lane = |g: usize, i: usize| f32::from(value(pair[g].0[i], odd)) * units[g].0[i];
        core::array::from_fn(|g| Lane(core::array::from_fn(|i| lane(g, i))))
    };
    let blocks = panels.chunks_exact(n_in.div_ceil(2)).zip(units);
    let each = blocks.flat_map(|(block, units)| (0..n_in).map(move |k| (&block[k / 2], units, k % 2 == 1)));
    each.map(|(pair, units, odd)| half(pair, units, odd)).collect()
}

/// Two neighbouring k of every block as one; the odd last one beside zeros.
fn in_pairs<const G: usize, P>(
    panels: &[[Lane; G]],
    n_in: usize,
    pair: impl Fn(&Lane, &Lane) -> P,
) -> Vec<[P; G]> {
    let two = |two: &[[Lane; G]]| {
        let high = two.get(1).unwrap_or(&[Lane::ZERO; G]);
        core::array::from_fn(|g| pair(&two[0][g], &high[g]))
    };
    let blocks = panels.chunks_exact(n_in);
    blocks.flat_map(|block| block.chunks(2).map(&two)).collect()
}

/// Two neighbouring k of every block as bf16 pairs, even k in the low half.
fn pair_up<const G: usize>(panels: &[[Lane; G]], n_in: usize) -> Vec<[PairLane; G]> {
    let word = |low: f32, high: f32| {
        u32::from(bf16::from_f32(low).to_bits()) | u32::from(bf16::from_f32(high).to_bits()) << 16
    };
    in_pairs(panels, n_in, |low, high| {
        PairLane(core::array::from_fn(|lane| word(low.0[lane], high.0[lane])))
    })
}

/// bf16 pairs back to single k in f32; the inverse of what packing did after its rounding.
#[must_use]
pub fn unpair<const G: usize>(pairs: &[[PairLane; G]], n_in: usize) -> Vec<[Lane; G]> {
    let half = |pair: &[PairLane; G], odd: bool| {
        core::array::from_fn(|g| {
            Lane(
                pair[g]
                    .0
                    .map(|w| f32::from_bits(if odd { w & 0xffff_0000 } else { w << 16 })),
            )
        })
    };
    pairs
        .chunks_exact(n_in.div_ceil(2))
        .flat_map(|block| (0..n_in).map(move |k| half(&block[k / 2], k % 2 == 1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.37).sin_like()).collect()
    }

    trait SinLike {
        fn sin_like(self) -> f32;
    }
    impl SinLike for f32 {
        fn sin_like(self) -> f32 {
            libm::sinf(self)
        }
    }

    #[test]
    fn gates_come_back_as_they_were() {
        for (hidden, n_in) in [(1, 1), (15, 3), (16, 4), (17, 5), (37, 11)] {
            let w = numbers(4 * hidden * n_in);
            assert_eq!(unpack_gates(&pack_gates(&w, hidden, n_in), hidden, n_in), w);
        }
    }

    #[test]
    fn dense_comes_back_as_it_was() {
        for (n_out, n_in) in [(1, 1), (3, 64), (16, 7), (17, 33)] {
            let w = numbers(n_out * n_in);
            assert_eq!(unpack_dense(&pack_dense(&w, n_out, n_in), n_out, n_in), w);
        }
    }

    #[test]
    fn bf16_pairs_hold_the_nearest_even_rounding() {
        for (hidden, n_in) in [(1, 1), (17, 5), (16, 4)] {
            let w = numbers(4 * hidden * n_in);
            let rounded: Vec<f32> = w.iter().map(|v| bf16::from_f32(*v).to_f32()).collect();
            let packed = pack_gates_bf16(&w, hidden, n_in);
            assert_eq!(unpack_gates(&unpair(&packed, n_in), hidden, n_in), rounded);
        }
    }

    #[test]
    fn integers_are_within_half_a_unit_and_their_sums_within_i32() {
        for (hidden, n_in, scale) in [(1, 1, 1.0), (17, 5, 1e-4), (16, 400, 3.0)] {
            let w: Vec<f32> = numbers(4 * hidden * n_in).iter().map(|v| v * scale).collect();
            let packed = pack_gates_i16(&w, hidden, n_in);
            let found = unpack_gates(&unfix(&packed.panels, &packed.units, n_in), hidden, n_in);
            for (found, expected) in found.chunks_exact(n_in).zip(w.chunks_exact(n_in)) {
                let unit = row_unit(expected).max(f32::MIN_POSITIVE);
                let sum: f32 = found.iter().map(|v| (v / unit).round().abs()).sum();
                assert!(f64::from(sum) <= SUM_LIMIT, "{sum} of {n_in}");
                let mut pairs = found.iter().zip(expected);
                assert!(pairs.all(|(a, b)| (a - b).abs() <= 0.501 * unit), "{unit}");
            }
            let dense = pack_dense_i16(&w, 4 * hidden, n_in);
            assert_eq!(dense.units.len(), n_blocks(4 * hidden));
        }
    }

    #[test]
    fn a_row_of_zeros_has_no_unit_and_the_largest_weight_the_largest_integer() {
        let packed = pack_dense_i16(&[0.0, 0.0, -2.0, 1.001, 1e-40, 0.0], 3, 2);
        assert_eq!(packed.units[0].0[..3], [0.0, 2.0 / 32767.0, 0.0]);
        let integers = packed.panels[0].0.map(|w| [w as i16, (w >> 16) as i16]);
        assert_eq!(integers[..3], [[0, 0], [-32767, 16400], [0, 0]]);
    }

    #[test]
    fn missing_units_and_the_odd_last_k_are_zero() {
        let packed = pack_gates_bf16(&[1.0; 4 * 3 * 3], 3, 3);
        assert_eq!(packed.len(), 2);
        assert!(packed[1][0].0[..3].iter().all(|w| *w == 0x3f80), "even k only");
        assert!(packed.iter().flatten().all(|lane| lane.0[3..] == [0; 13]));
    }
}
