//! The matrix product every layer is made of: packed panels, one micro-kernel, any strides, safe code.
//!
//! `C[m, n] (+)= A[m, k] · B[k, n]`, after the panel scheme of Goto and van de Geijn ("Anatomy of high-performance
//! matrix multiplication", 2008). Tricks: 1. operands are copied into panels that the micro-kernel reads forwards, unless
//! rows of `A` can be read as they lie;
//! 2. the right operand may be packed once and used many times ([`Packed`]: recurrent weights); 3. `k` is cut into blocks
//! of [`K_BLOCK`], so sums of thousands of terms are summed in parts; 4. the instruction set is chosen at run time (`pulp`).
//!
//! For one instruction set the bits of the result depend on the operands and their layout only: never on threads or history.

use super::mat::Mat;
use super::panels::{Aligned, Packed, pack_panels};
use pulp::{Arch, Simd, WithSimd};

/// Terms summed in one go before they are added to `C`.
pub const K_BLOCK: usize = 256;
/// Rows of `A` packed at a time.
const M_BLOCK: usize = 128;
/// Registers of `C` per row of the micro-kernel.
const REGS: usize = 2;

/// Textbook product in any type: `C (+)= A · B`; the oracle of [`gemm_f32`] and the product of gradient checks.
pub fn gemm_plain<R>(a: Mat<'_, R>, b: Mat<'_, R>, accumulate: bool, c: &mut [R])
where
    R: Copy + Default + std::ops::Add<Output = R> + std::ops::Mul<Output = R>,
{
    check_shapes(a, b, c);
    for i in 0..a.rows {
        for j in 0..b.cols {
            let mut sum = if accumulate {
                c[i * b.cols + j]
            } else {
                R::default()
            };
            for p in 0..a.cols {
                sum = sum + a.at(i, p) * b.at(p, j);
            }
            c[i * b.cols + j] = sum;
        }
    }
}

/// Buffers of one thread's products.
#[derive(Debug, Default)]
pub struct Scratch {
    a: Aligned,
    b: Packed,
    c: Vec<f32>,
}

/// Packs a right operand for [`gemm_packed`] on this machine.
pub fn pack(b: Mat<'_, f32>, packed: &mut Packed) {
    packed.pack(b, panel_width(), K_BLOCK);
}

/// `C (+)= A · B` in f32; row-major `C` of shape `[a.rows, b.cols]`.
pub fn gemm_f32(a: Mat<'_, f32>, b: Mat<'_, f32>, accumulate: bool, c: &mut [f32], scratch: &mut Scratch) {
    check_shapes(a, b, c);
    if b.cols == 1 && b.row_stride == 1 && a.col_stride == 1 {
        return dots(a, b.data, accumulate, c);
    }
    if b.cols < panel_width() && a.rows > b.cols {
        return gemm_narrow(a, b, accumulate, c, scratch);
    }
    let mut packed = std::mem::take(&mut scratch.b);
    pack(b, &mut packed);
    gemm_packed(a, &packed, accumulate, c, scratch);
    scratch.b = packed;
}

/// [`gemm_f32`] with a right operand packed before.
pub fn gemm_packed(a: Mat<'_, f32>, b: &Packed, accumulate: bool, c: &mut [f32], scratch: &mut Scratch) {
    assert_eq!(
        (a.cols, a.rows * b.cols),
        (b.rows, c.len()),
        "product {:?} x [{}, {}]",
        a.shape(),
        b.rows,
        b.cols
    );
    if a.cols == 0 && !accumulate {
        c.fill(0.0);
    }
    let job = Product {
        a,
        b,
        accumulate,
        c,
        panel: &mut scratch.a,
    };
    Arch::new().dispatch(job);
}

/// One column: a dot product per row.
fn dots(a: Mat<'_, f32>, b: &[f32], accumulate: bool, c: &mut [f32]) {
    for (i, out) in c.iter_mut().enumerate() {
        let row = &a.data[i * a.row_stride..][..a.cols];
        let mut lanes = [0.0f32; 16];
        let (blocks, tail) = row.as_chunks::<16>();
        let (b_blocks, b_tail) = b.as_chunks::<16>();
        for (x, y) in blocks.iter().zip(b_blocks) {
            for l in 0..16 {
                lanes[l] += x[l] * y[l];
            }
        }
        let rest: f32 = tail.iter().zip(b_tail).map(|(x, y)| x * y).sum();
        let sum = lanes.iter().sum::<f32>() + rest;
        *out = if accumulate { *out + sum } else { sum };
    }
}

/// A product with few columns is computed transposed, so that the wide side fills the registers.
fn gemm_narrow(a: Mat<'_, f32>, b: Mat<'_, f32>, accumulate: bool, c: &mut [f32], scratch: &mut Scratch) {
    let (m, n) = (a.rows, b.cols);
    let mut turned = std::mem::take(&mut scratch.c);
    turned.resize(m * n, 0.0);
    let mut packed = std::mem::take(&mut scratch.b);
    pack(a.t(), &mut packed);
    gemm_packed(b.t(), &packed, false, &mut turned, scratch);
    for (i, row) in c.chunks_exact_mut(n).enumerate() {
        for (j, out) in row.iter_mut().enumerate() {
            let value = turned[j * m + i];
            *out = if accumulate { *out + value } else { value };
        }
    }
    (scratch.b, scratch.c) = (packed, turned);
}

fn check_shapes<R: Copy>(a: Mat<'_, R>, b: Mat<'_, R>, c: &[R]) {
    assert_eq!(
        (a.cols, a.rows * b.cols),
        (b.rows, c.len()),
        "product [{}, {}] x [{}, {}]",
        a.rows,
        a.cols,
        b.rows,
        b.cols
    );
}

/// Columns of `C` that one micro-kernel call computes on this machine: the width of a panel of `B`.
fn panel_width() -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            REGS * S::F32_LANES
        }
    }
    Arch::new().dispatch(Width)
}

struct Product<'a> {
    a: Mat<'a, f32>,
    b: &'a Packed,
    accumulate: bool,
    c: &'a mut [f32],
    panel: &'a mut Aligned,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::F32_LANES >= 16 {
            self.blocks::<S, 8>(simd);
        } else {
            self.blocks::<S, 4>(simd);
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn blocks<S: Simd, const ROWS: usize>(self, simd: S) {
        let n_padded = self.b.cols.next_multiple_of(REGS * S::F32_LANES);
        let mut packed = self.b.values();
        for from in (0..self.a.cols).step_by(K_BLOCK) {
            let depth = from..self.a.cols.min(from + K_BLOCK);
            let (b_block, rest) = packed.split_at(depth.len() * n_padded);
            packed = rest;
            for top in (0..self.a.rows).step_by(M_BLOCK) {
                let block = Block {
                    rows: top..self.a.rows.min(top + M_BLOCK),
                    depth: depth.clone(),
                    n: self.b.cols,
                    add: self.accumulate || from > 0,
                };
                let c = &mut self.c[block.rows.start * block.n..block.rows.end * block.n];
                if self.a.col_stride == 1 {
                    block.read_rows::<S, ROWS>(simd, self.a, b_block, c);
                } else {
                    block.read_panels::<S, ROWS>(simd, self.a, b_block, c, self.panel);
                }
            }
        }
    }
}

/// A block of rows of `C` and the part of the sum that is added to it.
struct Block {
    rows: std::ops::Range<usize>,
    depth: std::ops::Range<usize>,
    n: usize,
    add: bool,
}

impl Block {
    /// Rows of `A` that are contiguous are read where they lie.
    #[inline(always)]
    fn read_rows<S: Simd, const ROWS: usize>(self, simd: S, a: Mat<'_, f32>, b: &[f32], c: &mut [f32]) {
        let depth = self.depth.len();
        for (b_panel, col) in self.b_panels::<S>(b) {
            for (first, c_rows) in self.rows.clone().step_by(ROWS).zip(c.chunks_mut(ROWS * self.n)) {
                // Rows past the edge repeat the last one; their sums are not stored.
                let rows: [&[f32]; ROWS] = std::array::from_fn(|i| {
                    let row = (first + i).min(self.rows.end - 1);
                    &a.data[row * a.row_stride + self.depth.start..][..depth]
                });
                let acc = micro_kernel::<S, ROWS>(simd, depth, b_panel, |p, i| rows[i][p]);
                self.store(simd, acc, col, c_rows);
            }
        }
    }

    /// Columns of `A` that are contiguous are copied into panels first.
    #[inline(always)]
    fn read_panels<S: Simd, const ROWS: usize>(
        self,
        simd: S,
        a: Mat<'_, f32>,
        b: &[f32],
        c: &mut [f32],
        panel: &mut Aligned,
    ) {
        let depth = self.depth.len();
        let a_block = panel.resize(self.rows.len().next_multiple_of(ROWS) * depth);
        pack_panels(a, self.rows.clone(), self.depth.clone(), ROWS, a_block);
        for (b_panel, col) in self.b_panels::<S>(b) {
            let a_panels = a_block.chunks_exact(ROWS * depth);
            for (a_panel, c_rows) in a_panels.zip(c.chunks_mut(ROWS * self.n)) {
                let steps = &a_panel.as_chunks::<ROWS>().0[..depth];
                let acc = micro_kernel::<S, ROWS>(simd, depth, b_panel, |p, i| steps[p][i]);
                self.store(simd, acc, col, c_rows);
            }
        }
    }

    /// The panels of `B` with the column each starts at.
    #[inline(always)]
    fn b_panels<'b, S: Simd>(&self, b: &'b [f32]) -> impl Iterator<Item = (&'b [f32], usize)> + use<'b, S> {
        let width = REGS * S::F32_LANES;
        b.chunks_exact(self.depth.len() * width)
            .zip((0..self.n).step_by(width))
    }

    #[inline(always)]
    fn store<S: Simd, const ROWS: usize>(
        &self,
        simd: S,
        acc: [[S::f32s; REGS]; ROWS],
        col: usize,
        c_rows: &mut [f32],
    ) {
        let end = self.n.min(col + REGS * S::F32_LANES);
        for (line, acc) in c_rows.chunks_exact_mut(self.n).zip(acc) {
            store(simd, acc, self.add, &mut line[col..end]);
        }
    }
}

/// `ROWS x REGS` registers of products, summed over the depth; `a` gives the value at (depth, row).
#[inline(always)]
fn micro_kernel<S: Simd, const ROWS: usize>(
    simd: S,
    depth: usize,
    b: &[f32],
    a: impl Fn(usize, usize) -> f32,
) -> [[S::f32s; REGS]; ROWS] {
    let mut acc = [[simd.splat_f32s(0.0); REGS]; ROWS];
    let b_steps = &S::as_simd_f32s(b).0.as_chunks::<REGS>().0[..depth];
    for (p, b) in b_steps.iter().enumerate() {
        for i in 0..ROWS {
            let value = simd.splat_f32s(a(p, i));
            for j in 0..REGS {
                acc[i][j] = simd.mul_add_e_f32s(value, b[j], acc[i][j]);
            }
        }
    }
    acc
}

/// Writes or adds one row of a tile; a row cut by the matrix's edge goes value by value.
#[inline(always)]
fn store<S: Simd>(simd: S, acc: [S::f32s; REGS], add: bool, out: &mut [f32]) {
    let (full, tail) = S::as_mut_simd_f32s(out);
    for (out, value) in full.iter_mut().zip(acc) {
        *out = if add { simd.add_f32s(*out, value) } else { value };
    }
    if !tail.is_empty() {
        let rest = &acc[full.len()..full.len() + 1];
        let values: &[f32] = bytemuck::cast_slice(rest);
        for (out, &value) in tail.iter_mut().zip(values) {
            *out = if add { *out + value } else { value };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wave(len: usize, k: f64) -> Vec<f32> {
        (0..len).map(|i| (i as f64 * k).sin() as f32).collect()
    }

    fn agree(m: usize, n: usize, k: usize, turn_a: bool, turn_b: bool, accumulate: bool) {
        let (a, b) = (wave(m * k, 0.71), wave(k * n, 1.3));
        let a = if turn_a {
            Mat::new(&a, k, m).t()
        } else {
            Mat::new(&a, m, k)
        };
        let b = if turn_b {
            Mat::new(&b, n, k).t()
        } else {
            Mat::new(&b, k, n)
        };
        let start = wave(m * n, 0.17);
        let (mut expected, mut found, mut reused) = (start.clone(), start.clone(), start);
        gemm_plain(a, b, accumulate, &mut expected);
        let mut scratch = Scratch::default();
        gemm_f32(a, b, accumulate, &mut found, &mut scratch);
        let mut packed = Packed::default();
        pack(b, &mut packed);
        gemm_packed(a, &packed, accumulate, &mut reused, &mut scratch);
        let bound = 3e-7 * (k as f32 + 4.0);
        for i in 0..m * n {
            let error = (expected[i] - found[i])
                .abs()
                .max((expected[i] - reused[i]).abs());
            assert!(
                error <= bound,
                "[{m}, {k}] x [{k}, {n}] at {i}: {} {}",
                expected[i],
                found[i]
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn every_shape_and_orientation_agrees_with_the_textbook(
            m in 1usize..40, n in 1usize..70, k in 0usize..50,
            turn_a: bool, turn_b: bool, accumulate: bool,
        ) {
            agree(m, n, k, turn_a, turn_b, accumulate);
        }
    }

    #[test]
    fn blocks_of_rows_and_depth_are_joined() {
        agree(M_BLOCK + 9, 35, 2 * K_BLOCK + 3, true, false, true);
        agree(2 * M_BLOCK, 64, K_BLOCK + 1, false, true, false);
        agree(300, 3, K_BLOCK + 40, true, false, false);
    }

    #[test]
    fn scratch_of_a_larger_product_leaves_no_trace() {
        let mut scratch = Scratch::default();
        let (a, b) = (wave(64 * 64, 0.3), wave(64 * 64, 0.9));
        let mut c = vec![0.0; 64 * 64];
        gemm_f32(
            Mat::new(&a, 64, 64),
            Mat::new(&b, 64, 64),
            false,
            &mut c,
            &mut scratch,
        );
        let (mut used, mut fresh) = (vec![0.0; 5 * 37], vec![0.0; 5 * 37]);
        let (a, b) = (Mat::new(&a[..5 * 7], 5, 7), Mat::new(&b[..7 * 37], 7, 37));
        gemm_f32(a, b, false, &mut used, &mut scratch);
        gemm_f32(a, b, false, &mut fresh, &mut Scratch::default());
        assert_eq!(used, fresh);
    }

    #[test]
    #[should_panic(expected = "product [2, 3] x [4, 5]")]
    fn shapes_that_do_not_meet_panic_with_both() {
        let (a, b) = (vec![0.0; 6], vec![0.0; 20]);
        gemm_f32(
            Mat::new(&a, 2, 3),
            Mat::new(&b, 4, 5),
            false,
            &mut [0.0; 10],
            &mut Scratch::default(),
        );
    }
}
