//! Variable selection, folded: softmax weights over variables times one small network per variable.
//!
//! Before the first nonlinearity every network is affine in the scaled reals and additive in the categories, so no
//! embedding is formed: a real enters as `slope x + offset`, a category as a row of a table that already holds its share.
//! The network of a lone categorical is a table of its answers.

use super::{GateNorm, Linear, Norm, SLICE, Tabulated, take};
use crate::bundle::View;
use crate::kernels::{Column, Kernels, ScalarAffine};
use crate::simd::{LANES, Lane};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Scaled inputs of some rows.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// `[n, stride]`, an even stride.
    pub(crate) reals: &'a [f32],
    pub(crate) stride: usize,
    /// `[n, n_codes]`, below the number of categories of their columns.
    pub(crate) codes: &'a [u32],
    pub(crate) n_codes: usize,
}

impl<'a> Rows<'a> {
    /// No rows.
    pub(crate) const NONE: Self = Self {
        reals: &[],
        stride: 0,
        codes: &[],
        n_codes: 0,
    };

    /// The rows from `at` on.
    pub(crate) fn from(self, at: usize) -> Self {
        Self {
            reals: &self.reals[at * self.stride..],
            codes: &self.codes[at * self.n_codes..],
            ..self
        }
    }

    pub(super) fn column(self, at: usize) -> Column<'a> {
        Column {
            x: self.reals,
            stride: self.stride,
            at,
        }
    }
}

/// A row of a table per category of a column.
pub(crate) struct Lookup {
    pub(crate) column: usize,
    /// `[n_categories, lanes]`.
    pub(crate) table: View<Lane>,
}

impl Lookup {
    fn row(&self, rows: Rows<'_>, row: usize, lanes: usize) -> &[Lane] {
        let code = rows.codes[row * rows.n_codes + self.column] as usize;
        &self.table[code * lanes..][..lanes]
    }

    /// Adds each row's entry to `sum [n, lanes]`.
    pub(crate) fn add(&self, kernels: &Kernels, rows: Rows<'_>, lanes: usize, sum: &mut [Lane]) {
        for (row, sum) in sum.chunks_exact_mut(lanes).enumerate() {
            kernels.add_lanes(self.row(rows, row, lanes), sum);
        }
    }
}

/// A vector that is affine in one real, or additive in categories.
pub(crate) enum Source {
    Real {
        column: usize,
        slope: View<Lane>,
        offset: View<Lane>,
    },
    Codes {
        lookups: Vec<Lookup>,
        offset: View<Lane>,
    },
}

impl Source {
    fn n_lanes(&self) -> usize {
        match self {
            Self::Real { offset, .. } | Self::Codes { offset, .. } => offset.len(),
        }
    }

    /// The vectors of some rows.
    fn fill(&self, kernels: &Kernels, rows: Rows<'_>, out: &mut [Lane]) {
        match self {
            Self::Real {
                column,
                slope,
                offset,
            } => {
                kernels.line(rows.column(*column), ScalarAffine { slope, offset }, out);
            }
            Self::Codes { lookups, offset } => {
                out.chunks_exact_mut(offset.len())
                    .for_each(|row| row.copy_from_slice(offset));
                for lookup in lookups {
                    lookup.add(kernels, rows, offset.len(), out);
                }
            }
        }
    }

    /// The vectors behind an ELU.
    fn fill_elu(&self, kernels: &Kernels, rows: Rows<'_>, out: &mut [Lane]) {
        if let Self::Real {
            column,
            slope,
            offset,
        } = self
        {
            kernels.expand(rows.column(*column), ScalarAffine { slope, offset }, out);
        } else {
            self.fill(kernels, rows, out);
            kernels.elu(bytemuck::must_cast_slice_mut(out));
        }
    }
}

/// One variable's network.
pub(crate) enum Branch {
    /// `LN(skip + GLU(elu(hidden)))`, the skip maybe normalised.
    Grn {
        hidden: Source,
        skip: Source,
        skip_norm: Option<Norm>,
        out: GateNorm,
    },
    /// `W elu(hidden) + b`.
    Ffn { hidden: Source, out: Linear },
    /// An answer per category.
    Table(Lookup),
    /// `LN(sum of entries)`.
    Norm { source: Source, norm: Norm },
    /// A network with a table of its answers.
    Tabulated(Box<Tabulated>),
}

/// The network behind the weights.
pub(crate) struct WeightNet {
    /// Reads all scaled reals of a row.
    pub(crate) fc1: Linear,
    pub(crate) lookups: Vec<Lookup>,
    /// Of the context to `fc1`'s outputs, with `fc1`'s bias as its own.
    pub(crate) context: Option<Linear>,
    pub(crate) output: WeightOutput,
    pub(crate) n_variables: usize,
}

/// How the hidden row becomes one number per variable.
#[allow(
    clippy::large_enum_variant,
    reason = "one per model or session, and it stays where it is"
)]
pub(crate) enum WeightOutput {
    Grn {
        skip: Linear,
        skip_lookups: Vec<Lookup>,
        skip_norm: Option<Norm>,
        out: GateNorm,
    },
    Ffn(Linear),
}

/// The selection over all variables of a step.
pub(crate) struct Selection {
    /// Absent for a lone variable, whose weight is one.
    pub(crate) weights: Option<WeightNet>,
    pub(crate) branches: Vec<Branch>,
    /// Lanes of an answer.
    pub(crate) lanes: usize,
}

impl Selection {
    /// Whether the weights depend on a context.
    pub(crate) fn has_context(&self) -> bool {
        self.weights.as_ref().is_some_and(|net| net.context.is_some())
    }

    /// Lanes of the weights of one row.
    pub(crate) fn weight_lanes(&self) -> usize {
        self.branches.len().div_ceil(LANES)
    }

    /// Lanes of scratch.
    pub(crate) fn n_scratch(&self) -> usize {
        let branch = self
            .branches
            .iter()
            .map(|b| b.n_scratch(self.lanes))
            .max()
            .unwrap_or(0);
        let weights = self
            .weights
            .as_ref()
            .map_or(0, |w| w.n_scratch(self.weight_lanes()));
        branch.max(weights) * SLICE + self.weights.as_ref().map_or(0, |w| w.fc1.n_lanes())
    }

    /// Rows to `out [n, lanes]` and `weights [n, weight lanes]`; `context`: one row for all.
    pub(crate) fn forward(
        &self,
        kernels: &Kernels,
        rows: Rows<'_>,
        context: Option<&[Lane]>,
        mut scratch: &mut [Lane],
        weights: &mut [Lane],
        out: &mut [Lane],
    ) {
        let per_row = self.weight_lanes();
        let bias = self.bias(kernels, context, &mut scratch);
        for (i, weights) in weights.chunks_mut(SLICE * per_row).enumerate() {
            match &self.weights {
                Some(net) => net.forward(kernels, rows.from(i * SLICE), bias, scratch, weights),
                None => weights.chunks_exact_mut(per_row).for_each(|w| w[0].0[0] = 1.0),
            }
        }
        out.fill(Lane::ZERO);
        for (at, branch) in self.branches.iter().enumerate() {
            let weight = Column {
                x: bytemuck::must_cast_slice(weights),
                stride: per_row * LANES,
                at,
            };
            // A branch's weights or table stay in the cache over all rows.
            let n_slice = branch.n_slice().saturating_mul(self.lanes);
            for (i, out) in out.chunks_mut(n_slice).enumerate() {
                let at = i * branch.n_slice();
                branch.add(kernels, rows.from(at), weight.from(at), scratch, self.lanes, out);
            }
        }
    }

    fn bias<'a, 's: 'a>(
        &'a self,
        kernels: &Kernels,
        context: Option<&[Lane]>,
        scratch: &mut &'s mut [Lane],
    ) -> &'a [Lane] {
        let Some(net) = &self.weights else { return &[] };
        match (&net.context, context) {
            (Some(layer), Some(context)) => {
                let bias = take(scratch, net.fc1.n_lanes());
                layer.forward_lanes(kernels, context, bias);
                bias
            }
            _ => &net.fc1.bias,
        }
    }
}

impl WeightNet {
    fn n_scratch(&self, lanes: usize) -> usize {
        self.fc1.n_lanes()
            + match &self.output {
                WeightOutput::Grn { out, .. } => out.glu.n_lanes(),
                WeightOutput::Ffn(_) => lanes,
            }
    }

    /// Softmax weights of some rows.
    fn forward(
        &self,
        kernels: &Kernels,
        rows: Rows<'_>,
        bias: &[Lane],
        mut scratch: &mut [Lane],
        out: &mut [Lane],
    ) {
        let lanes = self.n_variables.div_ceil(LANES);
        let n = out.len() / lanes;
        let n_hidden = self.fc1.n_lanes();
        let hidden = take(&mut scratch, n * n_hidden);
        self.fc1
            .forward_from(kernels, bias, rows.reals, rows.stride, hidden);
        for lookup in &self.lookups {
            lookup.add(kernels, rows, n_hidden, hidden);
        }
        kernels.elu(bytemuck::must_cast_slice_mut(hidden));
        match &self.output {
            WeightOutput::Ffn(layer) => layer.forward_lanes(kernels, hidden, out),
            WeightOutput::Grn {
                skip,
                skip_lookups,
                skip_norm,
                out: gate,
            } => {
                skip.forward(kernels, rows.reals, rows.stride, out);
                for lookup in skip_lookups {
                    lookup.add(kernels, rows, lanes, out);
                }
                if let Some(norm) = skip_norm {
                    norm.forward(kernels, out);
                }
                gate.forward(kernels, hidden, &mut scratch[..n * gate.glu.n_lanes()], out);
            }
        }
        for row in out.chunks_exact_mut(lanes) {
            let row: &mut [f32] = bytemuck::must_cast_slice_mut(row);
            kernels.softmax(&mut row[..self.n_variables]);
        }
    }
}

impl Branch {
    /// Lanes of scratch per row.
    fn n_scratch(&self, lanes: usize) -> usize {
        lanes
            + match self {
                Self::Grn { hidden, out, .. } => hidden.n_lanes() + out.glu.n_lanes(),
                Self::Ffn { hidden, .. } => hidden.n_lanes(),
                Self::Table(_) | Self::Norm { .. } => 0,
                Self::Tabulated(of) => of.exact.n_scratch(lanes),
            }
    }

    /// Rows at a time.
    fn n_slice(&self) -> usize {
        match self {
            Self::Tabulated(_) => usize::MAX,
            _ => SLICE,
        }
    }

    /// `sum += weight * answer` for some rows.
    pub(super) fn add(
        &self,
        kernels: &Kernels,
        rows: Rows<'_>,
        weight: Column<'_>,
        mut scratch: &mut [Lane],
        lanes: usize,
        sum: &mut [Lane],
    ) {
        if let Self::Tabulated(of) = self {
            of.add(kernels, rows, weight, scratch, lanes, sum);
            return;
        }
        let n = sum.len() / lanes;
        let y = take(&mut scratch, n * lanes);
        match self {
            Self::Tabulated(_) => {}
            Self::Grn {
                hidden,
                skip,
                skip_norm,
                out,
            } => {
                let h = take(&mut scratch, n * hidden.n_lanes());
                hidden.fill_elu(kernels, rows, h);
                skip.fill(kernels, rows, y);
                if let Some(norm) = skip_norm {
                    norm.forward(kernels, y);
                }
                out.forward(kernels, h, &mut scratch[..n * out.glu.n_lanes()], y);
            }
            Self::Ffn { hidden, out } => {
                let h = take(&mut scratch, n * hidden.n_lanes());
                hidden.fill_elu(kernels, rows, h);
                out.forward_lanes(kernels, h, y);
            }
            Self::Table(lookup) => {
                for (row, y) in y.chunks_exact_mut(lanes).enumerate() {
                    y.copy_from_slice(lookup.row(rows, row, lanes));
                }
            }
            Self::Norm { source, norm } => {
                source.fill(kernels, rows, y);
                norm.forward(kernels, y);
            }
        }
        kernels.add_weighted(weight, y, lanes, sum);
    }
}
