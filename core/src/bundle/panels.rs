//! How plain PyTorch-layout matrices become the panels that lie in a model file, and back.
//!
//! A gate matrix `[4H, n_in]` (gates i, f, g, o stacked) becomes `[blocks, n_in, 4, 16]`, a dense matrix
//! `[n_out, n_in]` becomes `[panels, n_in, 16]`; bf16 interleaves two neighbouring k: `[.., n_in / 2, .., 16, 2]`.
//! Missing units and the odd last k are zeros. `format.md`, section "Panels", is normative.

use crate::simd::{LANES, Lane, PairLane};
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

/// Two neighbouring k of every block as bf16 pairs, even k in the low half.
fn pair_up<const G: usize>(panels: &[[Lane; G]], n_in: usize) -> Vec<[PairLane; G]> {
    let word = |low: f32, high: f32| {
        u32::from(bf16::from_f32(low).to_bits()) | u32::from(bf16::from_f32(high).to_bits()) << 16
    };
    let pair = |two: &[[Lane; G]]| {
        let high = two.get(1).unwrap_or(&[Lane::ZERO; G]);
        core::array::from_fn(|g| {
            PairLane(core::array::from_fn(|lane| {
                word(two[0][g].0[lane], high[g].0[lane])
            }))
        })
    };
    panels
        .chunks_exact(n_in)
        .flat_map(|block| block.chunks(2).map(pair))
        .collect()
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
    fn missing_units_and_the_odd_last_k_are_zero() {
        let packed = pack_gates_bf16(&[1.0; 4 * 3 * 3], 3, 3);
        assert_eq!(packed.len(), 2);
        assert!(packed[1][0].0[..3].iter().all(|w| *w == 0x3f80), "even k only");
        assert!(packed.iter().flatten().all(|lane| lane.0[3..] == [0; 13]));
    }
}
