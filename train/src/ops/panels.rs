//! Operands copied into the order in which the micro-kernel of [`super::gemm`] reads them.

use super::mat::Mat;

/// A right operand in panels, ready for any number of products.
#[derive(Debug, Default)]
pub struct Packed {
    data: Aligned,
    pub(super) rows: usize,
    pub(super) cols: usize,
}

impl Packed {
    /// Packs `b` into panels of `width` columns, blocks of `depth_block` rows, reusing the storage of an earlier packing.
    pub(super) fn pack(&mut self, b: Mat<'_, f32>, width: usize, depth_block: usize) {
        (self.rows, self.cols) = (b.rows, b.cols);
        let n_padded = b.cols.next_multiple_of(width);
        let mut rest = self.data.resize(b.rows * n_padded);
        for from in (0..b.rows).step_by(depth_block) {
            let len = depth_block.min(b.rows - from);
            let (block, tail) = rest.split_at_mut(len * n_padded);
            pack_panels(b.t(), 0..b.cols, from..from + len, width, block);
            rest = tail;
        }
    }

    /// The panels.
    pub(super) fn values(&self) -> &[f32] {
        self.data.values()
    }
}

/// Storage that starts on a cache line, so that no register load crosses two.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    data: Vec<f32>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// `len` values with arbitrary old content.
    pub(super) fn resize(&mut self, len: usize) -> &mut [f32] {
        const LINE: usize = 64 / size_of::<f32>();
        self.data.resize(self.data.len().max(len + LINE), 0.0);
        self.start = self.data.as_ptr().align_offset(64).min(LINE);
        self.len = len;
        &mut self.data[self.start..self.start + len]
    }

    /// The values.
    pub(super) fn values(&self) -> &[f32] {
        &self.data[self.start..self.start + self.len]
    }
}

/// Copies rows `rows` and columns `depth` of `m` into panels of `width` rows, depth-major, padded with zeros.
pub(super) fn pack_panels(
    m: Mat<'_, f32>,
    rows: std::ops::Range<usize>,
    depth: std::ops::Range<usize>,
    width: usize,
    out: &mut [f32],
) {
    if m.row_stride == 1 {
        return pack_columns(m, rows, depth, width, out);
    }
    let panels = out.chunks_exact_mut(width * depth.len());
    for (first, panel) in rows.clone().step_by(width).zip(panels) {
        copy_rows(m, first, width.min(rows.end - first), depth.clone(), width, panel);
    }
}

/// [`pack_panels`] of a matrix whose rows lie side by side, a few columns at a time: strides of a power of two would
/// otherwise send a whole panel to the same few cache lines.
fn pack_columns(
    m: Mat<'_, f32>,
    rows: std::ops::Range<usize>,
    depth: std::ops::Range<usize>,
    width: usize,
    out: &mut [f32],
) {
    const COLUMNS: usize = 8;
    for from in (0..depth.len()).step_by(COLUMNS) {
        let part = from..depth.len().min(from + COLUMNS);
        let panels = out.chunks_exact_mut(width * depth.len());
        for (first, panel) in rows.clone().step_by(width).zip(panels) {
            let n_rows = width.min(rows.end - first);
            let steps = panel[width * part.start..width * part.end].chunks_exact_mut(width);
            for (p, out) in part.clone().zip(steps) {
                let start = (depth.start + p) * m.col_stride + first;
                let column = &m.data[start..start + n_rows];
                match n_rows {
                    8 if width == 8 => copy_block::<8>(column, out),
                    16 if width == 16 => copy_block::<16>(column, out),
                    32 if width == 32 => copy_block::<32>(column, out),
                    _ => {
                        out[..n_rows].copy_from_slice(column);
                        out[n_rows..].fill(0.0);
                    }
                }
            }
        }
    }
}

/// A copy whose length the compiler knows.
#[inline(always)]
fn copy_block<const W: usize>(from: &[f32], to: &mut [f32]) {
    if let (Some(from), Some(to)) = (from.first_chunk::<W>(), to.first_chunk_mut::<W>()) {
        *to = *from;
    }
}

/// A panel whose rows lie apart: a transposition.
fn copy_rows(
    m: Mat<'_, f32>,
    first: usize,
    n_rows: usize,
    depth: std::ops::Range<usize>,
    width: usize,
    panel: &mut [f32],
) {
    if n_rows < width {
        panel.fill(0.0);
    }
    for i in 0..n_rows {
        let row = &m.data[(first + i) * m.row_stride..];
        let steps = panel[i..].iter_mut().step_by(width);
        for (p, out) in depth.clone().zip(steps) {
            *out = row[p * m.col_stride];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orientations_pack_to_the_same_panels_padded_with_zeros() {
        for (rows, cols, width) in [(5, 19, 8), (40, 32, 32), (7, 33, 16), (3, 2, 4)] {
            let data: Vec<f32> = (1..=rows * cols).map(|i| i as f32).collect();
            let turned: Vec<f32> = (0..rows * cols)
                .map(|i| data[i % rows * cols + i / rows])
                .collect();
            let (mut a, mut b) = (Packed::default(), Packed::default());
            a.pack(Mat::new(&data, rows, cols), width, 4);
            b.pack(Mat::new(&turned, cols, rows).t(), width, 4);
            assert_eq!(a.values(), b.values());
            assert_eq!(a.values().iter().filter(|&&x| x != 0.0).count(), rows * cols);
            assert_eq!(a.values()[..width.min(cols)], data[..width.min(cols)]);
        }
    }

    #[test]
    fn storage_starts_on_a_cache_line_also_when_it_is_used_again() {
        let mut storage = Aligned::default();
        for len in [5, 1000, 64, 0] {
            let values = storage.resize(len);
            assert_eq!((values.len(), values.as_ptr().align_offset(64)), (len, 0));
            values.fill(3.0);
            assert_eq!(storage.values().len(), len);
        }
    }
}
