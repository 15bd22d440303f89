//! Matrices in f64 for folding layers that follow each other into one; rounded once, when the file is written.

use crate::plain::PlainTensors;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// A row-major matrix.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mat {
    pub(super) n_rows: usize,
    pub(super) n_cols: usize,
    data: Vec<f64>,
}

impl Mat {
    pub(super) fn new(n_rows: usize, n_cols: usize, data: Vec<f64>) -> Self {
        debug_assert_eq!(data.len(), n_rows * n_cols);
        Self { n_rows, n_cols, data }
    }

    pub(super) fn zeros(n_rows: usize, n_cols: usize) -> Self {
        Self::new(n_rows, n_cols, vec![0.0; n_rows * n_cols])
    }

    /// Ones on the diagonal.
    pub(super) fn identity(n: usize) -> Self {
        let mut out = Self::zeros(n, n);
        (0..n).for_each(|i| out.data[i * n + i] = 1.0);
        out
    }

    /// Linear interpolation along the features with aligned corners (pytorch-forecasting's resampled skip): output i of
    /// n reads position `i (m - 1) / (n - 1)` of m.
    pub(super) fn interpolation(n_out: usize, n_in: usize) -> Self {
        let mut out = Self::zeros(n_out, n_in);
        for i in 0..n_out {
            let at = if n_out > 1 {
                i as f64 * (n_in - 1) as f64 / (n_out - 1) as f64
            } else {
                0.0
            };
            let low = (at as usize).min(n_in - 1);
            let share = at - low as f64;
            out.data[i * n_in + low] += 1.0 - share;
            if share > 0.0 {
                out.data[i * n_in + low + 1] += share;
            }
        }
        out
    }

    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.data[row * self.n_cols..][..self.n_cols]
    }

    pub(super) fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.data[row * self.n_cols..][..self.n_cols]
    }

    pub(super) fn iter_rows(&self) -> impl Iterator<Item = &[f64]> {
        self.data.chunks_exact(self.n_cols)
    }

    /// `self * other`.
    pub(super) fn mul(&self, other: &Self) -> Self {
        assert_eq!(self.n_cols, other.n_rows, "widths of a product");
        let mut out = Self::zeros(self.n_rows, other.n_cols);
        for i in 0..self.n_rows {
            for (k, a) in self.row(i).iter().enumerate() {
                let to = &mut out.data[i * other.n_cols..][..other.n_cols];
                to.iter_mut().zip(other.row(k)).for_each(|(to, b)| *to += a * b);
            }
        }
        out
    }

    /// `self * x`.
    pub(super) fn apply(&self, x: &[f64]) -> Vec<f64> {
        let dot = |row: &[f64]| row.iter().zip(x).map(|(a, b)| a * b).sum();
        self.iter_rows().map(dot).collect()
    }

    pub(super) fn transposed(&self) -> Self {
        let at = |i: usize| self.data[(i % self.n_rows) * self.n_cols + i / self.n_rows];
        Self::new(self.n_cols, self.n_rows, (0..self.data.len()).map(at).collect())
    }

    /// Every row times its factor.
    pub(super) fn scaled_rows(mut self, factors: &[f64]) -> Self {
        for (row, factor) in factors.iter().enumerate() {
            self.row_mut(row).iter_mut().for_each(|v| *v *= factor);
        }
        self
    }

    pub(super) fn scaled(mut self, factor: f64) -> Self {
        self.data.iter_mut().for_each(|v| *v *= factor);
        self
    }

    /// Columns `from .. from + n`.
    pub(super) fn columns(&self, from: usize, n: usize) -> Self {
        let data = self
            .iter_rows()
            .flat_map(|row| row[from..from + n].iter().copied());
        Self::new(self.n_rows, n, data.collect())
    }

    /// Rows `from .. from + n`.
    pub(super) fn slice_rows(&self, from: usize, n: usize) -> Self {
        Self::new(
            n,
            self.n_cols,
            self.data[from * self.n_cols..][..n * self.n_cols].to_vec(),
        )
    }

    /// Columns spread apart: column `j` goes to `place(j)` of `n_cols`.
    pub(super) fn spread_columns(&self, n_cols: usize, place: impl Fn(usize) -> usize) -> Self {
        let mut out = Self::zeros(self.n_rows, n_cols);
        for i in 0..self.n_rows {
            for (j, v) in self.row(i).iter().enumerate() {
                out.data[i * n_cols + place(j)] += v;
            }
        }
        out
    }

    /// Adds a column vector to column `j`.
    pub(super) fn add_column(&mut self, j: usize, column: &[f64]) {
        for (i, v) in column.iter().enumerate() {
            self.data[i * self.n_cols + j] += v;
        }
    }

    pub(super) fn to_f32(&self) -> Vec<f32> {
        self.data.iter().map(|v| *v as f32).collect()
    }
}

/// `a + b`.
pub(super) fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// `1 / (1 + e^-x)`.
pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// `x` where positive, else `e^x - 1`.
pub(super) fn elu(x: f64) -> f64 {
    if x > 0.0 { x } else { libm::expm1(x) }
}

/// Layer norm of one row.
pub(super) fn normalised(x: &[f64], [gain, shift]: [&[f64]; 2], eps: f64) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    let inverse = 1.0 / libm::sqrt(variance + eps);
    let weights = gain.iter().zip(shift);
    x.iter()
        .zip(weights)
        .map(|(v, (g, s))| (v - mean) * inverse * g + s)
        .collect()
}

/// Plain tensors by name; panics on a name that `check_plain` would have refused.
#[derive(Clone, Copy)]
pub(super) struct Plain<'a>(pub(super) &'a PlainTensors);

impl Plain<'_> {
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn vec(&self, name: &str) -> Vec<f64> {
        self.0[name].data.iter().map(|v| f64::from(*v)).collect()
    }

    pub(super) fn mat(&self, name: &str) -> Mat {
        let shape = &self.0[name].shape;
        Mat::new(shape[0], shape[1], self.vec(name))
    }

    /// `{name}.weight` and `{name}.bias` of a linear layer; a bias that is absent is zero.
    pub(super) fn linear(&self, name: &str) -> (Mat, Vec<f64>) {
        let weight = self.mat(&format!("{name}.weight"));
        let bias = format!("{name}.bias");
        let bias = if self.has(&bias) {
            self.vec(&bias)
        } else {
            vec![0.0; weight.n_rows]
        };
        (weight, bias)
    }

    /// Gain and shift of a layer norm.
    pub(super) fn norm(&self, name: &str) -> [Vec<f64>; 2] {
        ["weight", "bias"].map(|part| self.vec(&format!("{name}.{part}")))
    }

    /// Input and recurrent weights and the sum of both biases of one LSTM layer.
    pub(super) fn lstm(&self, name: &str, suffix: &str) -> (Mat, Mat, Vec<f64>) {
        let get = |part: &str| format!("{name}.{part}_{suffix}");
        let bias = add(&self.vec(&get("bias_ih")), &self.vec(&get("bias_hh")));
        (self.mat(&get("weight_ih")), self.mat(&get("weight_hh")), bias)
    }
}
