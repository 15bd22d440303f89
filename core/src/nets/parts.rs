//! Composite layers into a model file and out of it; packing folds what follows each other without a nonlinearity.

use super::fold::{Mat, Plain, add};
use super::store::{Opener, Packer};
use crate::bundle::n_blocks;
use crate::error::OpenError;
use crate::layers::{Attention, BiStack, GateNorm, Grn, InputGatedGrn, LstmStack};
use crate::simd::LANES;
use alloc::format;
use alloc::vec::Vec;

/// A gated residual network's plain layers: `W_glu (W_2 h + b_2) + b_glu` as one.
pub(super) struct GrnTail {
    pub(super) weight: Mat,
    pub(super) bias: Vec<f64>,
}

impl GrnTail {
    pub(super) fn fold(fc2: &(Mat, Vec<f64>), glu: &(Mat, Vec<f64>)) -> Self {
        Self {
            weight: glu.0.mul(&fc2.0),
            bias: add(&glu.0.apply(&fc2.1), &glu.1),
        }
    }
}

impl Opener<'_> {
    /// A gated linear unit with its norm, from `n_in` to `width`.
    pub(super) fn gate_norm(
        &mut self,
        name: &str,
        n_in: usize,
        width: usize,
        eps: f32,
    ) -> Result<GateNorm, OpenError> {
        Ok(GateNorm {
            glu: self.halves(&format!("{name}.glu"), n_in, width)?,
            norm: self.norm(&format!("{name}.norm"), width, eps)?,
        })
    }

    /// A network between equal widths.
    pub(super) fn grn(&mut self, name: &str, n: usize, context: bool, eps: f32) -> Result<Grn, OpenError> {
        Ok(Grn {
            fc1: self.linear(&format!("{name}.fc1"), n, n)?,
            context: match context {
                true => Some(self.linear(&format!("{name}.context"), n, n)?),
                false => None,
            },
            out: self.gate_norm(&format!("{name}.out"), n, n, eps)?,
        })
    }

    /// Seed 003's network.
    pub(super) fn input_gated(&mut self, name: &str, n: usize, eps: f32) -> Result<InputGatedGrn, OpenError> {
        Ok(InputGatedGrn {
            fc1: self.linear(&format!("{name}.fc1"), n, n)?,
            fc2: self.linear(&format!("{name}.fc2"), n, n)?,
            gate: self.linear(&format!("{name}.gate"), n, n)?,
            norm: self.norm(&format!("{name}.norm"), n, eps)?,
        })
    }

    /// A stack of LSTM layers.
    pub(super) fn stack(
        &mut self,
        name: &str,
        n_in: usize,
        n: usize,
        n_layers: usize,
    ) -> Result<LstmStack, OpenError> {
        let layers = (0..n_layers)
            .map(|l| self.lstm(&format!("{name}.{l}"), if l == 0 { n_in } else { n }, n))
            .collect::<Result<_, _>>()?;
        Ok(LstmStack { layers })
    }

    /// A bidirectional stack; layers behind the first read both halves, each in whole lanes.
    pub(super) fn bi_stack(
        &mut self,
        name: &str,
        n_in: usize,
        n: usize,
        n_layers: usize,
    ) -> Result<BiStack, OpenError> {
        let both = 2 * LANES * n_blocks(n);
        let mut pair = |l: usize| {
            let n_in = if l == 0 { n_in } else { both };
            Ok([
                self.lstm(&format!("{name}.{l}.forward"), n_in, n)?,
                self.lstm(&format!("{name}.{l}.backward"), n_in, n)?,
            ])
        };
        let layers = (0..n_layers).map(&mut pair).collect::<Result<_, OpenError>>()?;
        Ok(BiStack { layers })
    }

    /// Interpretable attention over rows of width `n`, folded.
    pub(super) fn interpretable(
        &mut self,
        name: &str,
        n: usize,
        n_heads: usize,
    ) -> Result<Attention, OpenError> {
        let lanes = LANES * n_blocks(n);
        Ok(Attention {
            query: self.linear(&format!("{name}.query"), n, n_heads * lanes)?,
            rows: None,
            output: self.linear(&format!("{name}.output"), n, n)?,
            n_heads,
            shared: true,
        })
    }

    /// Standard multi-head attention over rows of width `n`, projected.
    pub(super) fn multi_head(
        &mut self,
        name: &str,
        n: usize,
        n_heads: usize,
    ) -> Result<Attention, OpenError> {
        let lanes = n_heads * LANES * n_blocks(n / n_heads);
        let mut linear = |part: &str, n_in, n_out| self.linear(&format!("{name}.{part}"), n_in, n_out);
        Ok(Attention {
            query: linear("query", n, lanes)?,
            rows: Some([linear("key", n, lanes)?, linear("value", n, lanes)?]),
            output: linear("output", lanes, n)?,
            n_heads,
            shared: false,
        })
    }
}

impl Packer {
    pub(super) fn gate_norm(&mut self, name: &str, glu: &Mat, bias: &[f64], norm: &[Vec<f64>; 2]) {
        self.halves(&format!("{name}.glu"), glu, bias);
        self.norm(&format!("{name}.norm"), &norm[0], &norm[1]);
    }

    /// A network between equal widths with pytorch-forecasting's names.
    pub(super) fn grn(&mut self, name: &str, plain: Plain<'_>, from: &str) {
        let (weight, bias) = plain.linear(&format!("{from}.fc1"));
        self.linear(&format!("{name}.fc1"), &weight, &bias);
        if plain.has(&format!("{from}.context.weight")) {
            let context = plain.mat(&format!("{from}.context.weight"));
            self.linear(&format!("{name}.context"), &context, &bias);
        }
        let tail = plain.grn_tail(from);
        let norm = plain.norm(&format!("{from}.gate_norm.add_norm.norm"));
        self.gate_norm(&format!("{name}.out"), &tail.weight, &tail.bias, &norm);
    }

    /// Seed 003's network.
    pub(super) fn input_gated(&mut self, name: &str, plain: Plain<'_>, from: &str) {
        for (to, layer) in [("fc1", "fc1"), ("fc2", "fc2"), ("gate", "gate.0")] {
            let (weight, bias) = plain.linear(&format!("{from}.{layer}"));
            self.linear(&format!("{name}.{to}"), &weight, &bias);
        }
        let [gain, shift] = plain.norm(&format!("{from}.layer_norm"));
        self.norm(&format!("{name}.norm"), &gain, &shift);
    }

    pub(super) fn plain_linear(&mut self, name: &str, plain: Plain<'_>, from: &str) {
        let (weight, bias) = plain.linear(from);
        self.linear(name, &weight, &bias);
    }

    pub(super) fn plain_norm(&mut self, name: &str, plain: Plain<'_>, from: &str) {
        let [gain, shift] = plain.norm(from);
        self.norm(name, &gain, &shift);
    }

    pub(super) fn stack(&mut self, name: &str, plain: Plain<'_>, from: &str, n_layers: usize) {
        for l in 0..n_layers {
            let (input, recurrent, bias) = plain.lstm(from, &format!("l{l}"));
            self.lstm(&format!("{name}.{l}"), &input, &recurrent, &bias);
        }
    }

    pub(super) fn bi_stack(&mut self, name: &str, plain: Plain<'_>, from: &str, n_layers: usize) {
        for l in 0..n_layers {
            for (part, suffix) in [
                ("forward", format!("l{l}")),
                ("backward", format!("l{l}_reverse")),
            ] {
                let (mut input, recurrent, bias) = plain.lstm(from, &suffix);
                if l > 0 {
                    input = in_two_halves(&input, recurrent.n_cols);
                }
                self.lstm(&format!("{name}.{l}.{part}"), &input, &recurrent, &bias);
            }
        }
    }

    /// Standard multi-head attention with PyTorch's names; heads are padded to whole lanes, the factor is in the query.
    pub(super) fn multi_head(&mut self, name: &str, plain: Plain<'_>, from: &str, n_heads: usize) {
        let (weight, bias) = (
            plain.mat(&format!("{from}.in_proj_weight")),
            plain.vec(&format!("{from}.in_proj_bias")),
        );
        let n = weight.n_cols;
        let d = n / n_heads;
        let lanes = LANES * n_blocks(d);
        let place = |i: usize| i / d * lanes + i % d;
        for (i, part) in ["query", "key", "value"].into_iter().enumerate() {
            let factor = if i == 0 { 1.0 / libm::sqrt(d as f64) } else { 1.0 };
            let rows = weight.slice_rows(i * n, n).scaled(factor).transposed();
            let wide = rows.spread_columns(n_heads * lanes, place).transposed();
            let bias = Mat::new(1, n, bias[i * n..][..n].to_vec()).scaled(factor);
            let bias = bias.spread_columns(n_heads * lanes, place);
            self.linear(&format!("{name}.{part}"), &wide, bias.row(0));
        }
        let (out, out_bias) = plain.linear(&format!("{from}.out_proj"));
        self.linear(
            &format!("{name}.output"),
            &out.spread_columns(n_heads * lanes, place),
            &out_bias,
        );
    }

    /// `W_k^T (W_q x + b_q) / sqrt(d)` of every head, each in whole lanes.
    pub(super) fn queries(&mut self, name: &str, heads: &[((Mat, Vec<f64>), Mat)]) {
        let n = heads[0].1.n_cols;
        let lanes = LANES * n_blocks(n);
        let mut weight = Mat::zeros(heads.len() * lanes, n);
        let mut bias = alloc::vec![0.0; heads.len() * lanes];
        for (head, ((query, query_bias), key)) in heads.iter().enumerate() {
            let factor = 1.0 / libm::sqrt(key.n_rows as f64);
            let key = key.transposed().scaled(factor);
            let folded = key.mul(query);
            for row in 0..n {
                weight
                    .row_mut(head * lanes + row)
                    .copy_from_slice(folded.row(row));
            }
            bias[head * lanes..][..n].copy_from_slice(&key.apply(query_bias));
        }
        self.linear(&format!("{name}.query"), &weight, &bias);
    }
}

/// The columns of a matrix that reads two vectors of width `n`, each padded to whole lanes.
pub(super) fn in_two_halves(weight: &Mat, n: usize) -> Mat {
    let lanes = LANES * n_blocks(n);
    weight.spread_columns(2 * lanes, |j| if j < n { j } else { j - n + lanes })
}

impl Plain<'_> {
    /// The folded tail of a network with pytorch-forecasting's names.
    pub(super) fn grn_tail(&self, from: &str) -> GrnTail {
        GrnTail::fold(
            &self.linear(&format!("{from}.fc2")),
            &self.linear(&format!("{from}.gate_norm.glu.fc")),
        )
    }
}
