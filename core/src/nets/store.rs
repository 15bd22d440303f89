//! Layers into a model file and out of it: names, shapes and panels, one function each way per kind of tensor.

use super::fold::Mat;
use super::packed::{PackedTensor, units_of};
use super::scalar::ScalarNet;
use super::tables::Named;
use crate::bundle::{Bundle, Precision, Schema, Tabulated, TensorReader, View, n_blocks, pack_gate_bias};
use crate::error::OpenError;
use crate::layers::{self, Branch, DenseWeights, GateWeights, Linear, LstmLayer, Norm, ScalarTable};
use crate::simd::{LANES, Lane};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytemuck::Pod;
use half::bf16;

/// Numbers as whole cache lines, which the format's alignment and padding make them.
pub(super) fn lines<T: Pod, L: Pod>(view: &View<T>, tensor: &str) -> Result<View<L>, OpenError> {
    view.cast().ok_or_else(|| OpenError::Misaligned {
        tensor: tensor.to_string(),
        expected: align_of::<L>() as u64,
        offset: view.as_ptr().addr() as u64,
    })
}

/// Refuses a layer of integers that reads more than the kernels round.
fn expect_rounded(name: &str, n_in: usize) -> Result<(), OpenError> {
    if n_in > layers::MAX_ROUNDED {
        return Err(OpenError::Schema(format!(
            "precision: expected at most {} inputs of `{name}` for `i16`, found {n_in}",
            layers::MAX_ROUNDED
        )));
    }
    Ok(())
}

/// Weights of the four gates `[4H, n_in]`.
#[inline(never)]
pub(super) fn gate_weights(
    from: &mut TensorReader<'_>,
    precision: Precision,
    name: &str,
    n_in: usize,
    n_hidden: usize,
) -> Result<GateWeights, OpenError> {
    let blocks = n_blocks(n_hidden);
    let pairs = [blocks, n_in.div_ceil(2), 4, LANES, 2];
    Ok(match precision {
        Precision::F32 => {
            let view = from.tensor::<f32>(name, &[blocks, n_in, 4, LANES])?;
            GateWeights::F32(lines(&view, name)?)
        }
        Precision::Bf16 => GateWeights::Bf16(lines(&from.tensor::<bf16>(name, &pairs)?, name)?),
        Precision::I16 => {
            expect_rounded(name, n_in)?;
            let units = units_of(name);
            let unit_lanes = lines(&from.tensor::<f32>(&units, &[blocks, 4, LANES])?, &units)?;
            GateWeights::I16(lines(&from.tensor::<i16>(name, &pairs)?, name)?, unit_lanes)
        }
    })
}

/// Weights of a dense layer `[n_out, n_in]`.
#[inline(never)]
pub(super) fn dense_weights(
    from: &mut TensorReader<'_>,
    precision: Precision,
    name: &str,
    n_in: usize,
    n_out: usize,
) -> Result<DenseWeights, OpenError> {
    let panels = n_blocks(n_out);
    let pairs = [panels, n_in.div_ceil(2), LANES, 2];
    Ok(match precision {
        Precision::F32 => {
            let view = from.tensor::<f32>(name, &[panels, n_in, LANES])?;
            DenseWeights::F32(lines(&view, name)?)
        }
        Precision::Bf16 => DenseWeights::Bf16(lines(&from.tensor::<bf16>(name, &pairs)?, name)?),
        Precision::I16 => {
            expect_rounded(name, n_in)?;
            let units = units_of(name);
            let unit_lanes = lines(&from.tensor::<f32>(&units, &[panels, LANES])?, &units)?;
            DenseWeights::I16(lines(&from.tensor::<i16>(name, &pairs)?, name)?, unit_lanes)
        }
    })
}

/// Takes layers out of a bundle.
pub(super) struct Opener<'a> {
    from: TensorReader<'a>,
    precision: Precision,
    /// Networks with or without tables that no branch has asked for yet.
    networks: Vec<&'a Tabulated>,
}

impl<'a> Opener<'a> {
    pub(super) fn new(bundle: &'a Bundle) -> Self {
        Self {
            from: bundle.reader(),
            precision: bundle.schema().precision,
            networks: bundle.schema().tables.iter().flat_map(|t| &t.networks).collect(),
        }
    }

    /// A tensor of f32 that no layer reads, such as a plain one.
    pub(super) fn data(&mut self, name: &str, shape: &[usize]) -> Result<View<f32>, OpenError> {
        self.from.tensor(name, shape)
    }

    /// `rows` rows of `width` numbers in whole lanes.
    #[inline(never)]
    pub(super) fn rows(&mut self, name: &str, rows: usize, width: usize) -> Result<View<Lane>, OpenError> {
        let shape = [rows, n_blocks(width), LANES];
        lines(&self.from.tensor::<f32>(name, &shape)?, name)
    }

    /// `{name}.weight` and `{name}.bias` of `n_out` outputs, which are whole lanes where the layer has parts.
    pub(super) fn linear(&mut self, name: &str, n_in: usize, n_out: usize) -> Result<Linear, OpenError> {
        self.linear_as(self.precision, name, n_in, n_out)
    }

    /// The same of a layer that reads columns of the scaled inputs.
    pub(super) fn of_columns(&mut self, name: &str, n_in: usize, n_out: usize) -> Result<Linear, OpenError> {
        self.linear_as(self.precision.of_columns(), name, n_in, n_out)
    }

    #[inline(never)]
    fn linear_as(
        &mut self,
        precision: Precision,
        name: &str,
        n_in: usize,
        n_out: usize,
    ) -> Result<Linear, OpenError> {
        let weight = format!("{name}.weight");
        let weights = dense_weights(&mut self.from, precision, &weight, n_in, n_out)?;
        let bias = self.rows(&format!("{name}.bias"), 1, n_out)?;
        Ok(Linear { weights, bias, n_in })
    }

    /// A linear layer whose value and gate halves have `width` outputs each.
    pub(super) fn halves(&mut self, name: &str, n_in: usize, width: usize) -> Result<Linear, OpenError> {
        self.linear(name, n_in, 2 * LANES * n_blocks(width))
    }

    /// `{name}.gain` and `{name}.shift`.
    pub(super) fn norm(&mut self, name: &str, width: usize, eps: f32) -> Result<Norm, OpenError> {
        Ok(Norm {
            gain: self.rows(&format!("{name}.gain"), 1, width)?,
            shift: self.rows(&format!("{name}.shift"), 1, width)?,
            width,
            eps,
        })
    }

    /// `{name}.input`, `{name}.recurrent` and `{name}.bias`.
    pub(super) fn lstm(&mut self, name: &str, n_in: usize, n_hidden: usize) -> Result<LstmLayer, OpenError> {
        let bias_name = format!("{name}.bias");
        let shape = [n_blocks(n_hidden), 4, LANES];
        let bias = lines(&self.from.tensor::<f32>(&bias_name, &shape)?, &bias_name)?;
        Ok(LstmLayer {
            input: self.gates(&format!("{name}.input"), n_in, n_hidden)?,
            recurrent: self.gates(&format!("{name}.recurrent"), n_hidden, n_hidden)?,
            bias,
            n_in,
            n_hidden,
            stacked: false,
        })
    }

    fn gates(&mut self, name: &str, n_in: usize, n_hidden: usize) -> Result<GateWeights, OpenError> {
        gate_weights(&mut self.from, self.precision, name, n_in, n_hidden)
    }

    /// The branch of the real in `column`, behind a table if the schema says that `network` has one.
    pub(super) fn tabulated(
        &mut self,
        network: &str,
        column: usize,
        width: usize,
        exact: Branch,
    ) -> Result<Branch, OpenError> {
        let Some(at) = self.networks.iter().position(|n| n.network == network) else {
            return Ok(exact);
        };
        let Some(knots) = self.networks.swap_remove(at).knots else {
            return Ok(exact);
        };
        let (n, name) = (knots.n_intervals + 1, format!("run.{network}.knots"));
        let rows = lines(
            &self.from.tensor::<f32>(&name, &[n, 2, n_blocks(width), LANES])?,
            &name,
        )?;
        let places = self.data(&format!("run.{network}.places"), &[n_blocks(n), LANES])?;
        let table = ScalarTable::new(column, knots, &places[..n], rows)
            .map_err(|text| OpenError::Schema(format!("run.{network}.places: {text}")))?;
        Ok(Branch::Tabulated(Box::new(layers::Tabulated { table, exact })))
    }

    /// Ends the reading: no tensor and no table may be left.
    pub(super) fn finish(self) -> Result<(), OpenError> {
        match self.networks.first() {
            Some(left) => Err(OpenError::Schema(format!(
                "tables.networks: no network of a real variable `{}`",
                left.network
            ))),
            None => self.from.finish(),
        }
    }
}

/// What a family has for a model file.
pub(super) struct Packed {
    pub(super) tensors: Vec<PackedTensor>,
    pub(super) scalars: Vec<Named>,
}

/// Collects layers for a model file.
pub(super) struct Packer {
    precision: Precision,
    packed: Vec<PackedTensor>,
    /// Networks of single reals, where the schema wishes for tables.
    scalars: Option<Vec<Named>>,
}

impl Packer {
    pub(super) fn new(schema: &Schema) -> Self {
        Self {
            precision: schema.precision,
            packed: Vec::new(),
            scalars: schema.tables.as_ref().map(|_| Vec::new()),
        }
    }

    pub(super) fn finish(self) -> Packed {
        Packed {
            tensors: self.packed,
            scalars: self.scalars.unwrap_or_default(),
        }
    }

    /// A network of one real, of which a table may be made.
    pub(super) fn scalar(&mut self, network: &str, make: impl FnOnce() -> ScalarNet) {
        if let Some(scalars) = &mut self.scalars {
            let name = network.into();
            scalars.push(Named {
                name,
                network: make(),
            });
        }
    }

    /// Rows of equal width, padded to whole lanes.
    pub(super) fn rows(&mut self, name: String, rows: &Mat) {
        let mut lanes = Vec::new();
        for row in rows.iter_rows() {
            for chunk in row.chunks(LANES) {
                let mut lane = Lane::ZERO;
                lane.0
                    .iter_mut()
                    .zip(chunk)
                    .for_each(|(to, from)| *to = *from as f32);
                lanes.push(lane);
            }
        }
        let shape = [rows.n_rows, n_blocks(rows.n_cols), LANES];
        self.packed.push(PackedTensor::f32(name, &shape, &lanes));
    }

    /// One row.
    pub(super) fn row(&mut self, name: String, values: &[f64]) {
        self.rows(name, &Mat::new(1, values.len(), values.to_vec()));
    }

    /// `{name}.weight` and `{name}.bias`.
    pub(super) fn linear(&mut self, name: &str, weights: &Mat, bias: &[f64]) {
        self.linear_as(self.precision, name, weights, bias);
    }

    /// The same of a layer that reads columns of the scaled inputs.
    pub(super) fn of_columns(&mut self, name: &str, weights: &Mat, bias: &[f64]) {
        self.linear_as(self.precision.of_columns(), name, weights, bias);
    }

    fn linear_as(&mut self, precision: Precision, name: &str, weights: &Mat, bias: &[f64]) {
        let packed = PackedTensor::dense(
            precision,
            format!("{name}.weight"),
            &weights.to_f32(),
            weights.n_rows,
        );
        self.packed.extend(packed);
        self.row(format!("{name}.bias"), bias);
    }

    /// A linear layer of `[value | gate]`, each half padded to whole lanes.
    pub(super) fn halves(&mut self, name: &str, weights: &Mat, bias: &[f64]) {
        let width = weights.n_rows / 2;
        let spread = |row: usize| {
            if row < width {
                row
            } else {
                row - width + LANES * n_blocks(width)
            }
        };
        let total = 2 * LANES * n_blocks(width);
        let mut wide = Mat::zeros(total, weights.n_cols);
        let mut wide_bias = alloc::vec![0.0; total];
        for row in 0..2 * width {
            wide.row_mut(spread(row)).copy_from_slice(weights.row(row));
            wide_bias[spread(row)] = bias[row];
        }
        self.linear(name, &wide, &wide_bias);
    }

    /// `{name}.gain` and `{name}.shift`.
    pub(super) fn norm(&mut self, name: &str, gain: &[f64], shift: &[f64]) {
        self.row(format!("{name}.gain"), gain);
        self.row(format!("{name}.shift"), shift);
    }

    /// `{name}.input`, `{name}.recurrent` and `{name}.bias`, the two biases added.
    pub(super) fn lstm(&mut self, name: &str, input: &Mat, recurrent: &Mat, bias: &[f64]) {
        let n_hidden = recurrent.n_cols;
        for (part, weights) in [("input", input), ("recurrent", recurrent)] {
            let name = format!("{name}.{part}");
            let packed = PackedTensor::gates(self.precision, name, &weights.to_f32(), n_hidden);
            self.packed.extend(packed);
        }
        let bias: Vec<f32> = bias.iter().map(|v| *v as f32).collect();
        let packed = pack_gate_bias(&bias, n_hidden);
        let shape = [n_blocks(n_hidden), 4, LANES];
        self.packed
            .push(PackedTensor::f32(format!("{name}.bias"), &shape, &packed));
    }
}
