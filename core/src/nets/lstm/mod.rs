//! The `lstm` family: a stack of LSTM layers, a dense head on the top layer's last step.
//!
//! TinyTFT, SimpleTFT and the STAC-ML shapes are instances. Plain tensors (names of
//! [`PlainTensors`](crate::plain::PlainTensors)) become the model file's panels here and come back from them.

mod bank;
mod banks;
mod side_by_side;

use crate::bundle::{
    Bundle, LstmConfig, Schema, TensorReader, n_blocks, pack_dense_bias, pack_gate_bias, unfix, unpack_dense,
    unpack_gates, unpair,
};
use crate::error::OpenError;
use crate::kernels::{Kernels, MAX_BATCH};
use crate::layers::{DenseLayer, DenseWeights, GateWeights, LstmLayer, LstmScratch, Order};
use crate::nets::packed::PackedTensor;
use crate::nets::shapes::tensor_shapes;
use crate::nets::store::{dense_weights, gate_weights, lines};
use crate::plain::{PlainTensor, PlainTensors};
use crate::simd::{FixedLane, LANES, Lane, PairLane};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

pub(crate) use bank::LstmBank;
pub(crate) use banks::{LstmBanks, Member, Members};
pub(crate) use side_by_side::LstmNeighbours;

/// The opened net.
pub(crate) struct LstmNet {
    layers: Vec<LstmLayer>,
    head: Vec<DenseLayer>,
    lookback: usize,
    /// Columns of a scaled input row: `n_features` rounded up to even.
    pub(crate) x_stride: usize,
}

/// Buffers for up to `n_batch` windows.
pub(crate) struct LstmWork {
    /// `[lookback, n_batch, x_stride]`, time-major: the caller writes scaled rows here.
    pub(crate) x: Vec<f32>,
    gates: Vec<[Lane; 4]>,
    sequence: Vec<Lane>,
    c: Vec<Lane>,
    h: Vec<Lane>,
    operand: Vec<Lane>,
    head: [Vec<Lane>; 2],
}

impl LstmNet {
    /// Takes the net's tensors out of the bundle, all of them and no others.
    pub(crate) fn open(bundle: &Bundle, config: &LstmConfig) -> Result<Self, OpenError> {
        let schema = bundle.schema();
        let mut from = bundle.reader();
        let layers = (0..config.n_layers)
            .map(|l| open_layer(&mut from, schema, config, l))
            .collect::<Result<_, _>>()?;
        let head = (0..config.head.len())
            .map(|j| open_dense(&mut from, schema, config, j))
            .collect::<Result<_, _>>()?;
        from.finish()?;
        Ok(Self {
            layers,
            head,
            lookback: config.lookback,
            x_stride: schema.n_features().next_multiple_of(2),
        })
    }

    /// Buffers for `n_batch` windows at a time, at most [`MAX_BATCH`].
    pub(crate) fn work(&self, n_batch: usize) -> LstmWork {
        let n_batch = n_batch.min(MAX_BATCH);
        let blocks = self.layers.iter().map(LstmLayer::n_blocks).max().unwrap_or(0);
        let rows = self.lookback * n_batch;
        let stacked = usize::from(self.layers.len() > 1);
        let widest = self.head.iter().map(DenseLayer::n_lanes).max().unwrap_or(0);
        LstmWork {
            x: vec![0.0; rows * self.x_stride],
            gates: vec![[Lane::ZERO; 4]; rows * blocks],
            sequence: vec![Lane::ZERO; rows * blocks * stacked],
            c: vec![Lane::ZERO; n_batch * blocks],
            h: vec![Lane::ZERO; n_batch * blocks],
            operand: vec![Lane::ZERO; n_batch * blocks],
            head: [vec![Lane::ZERO; widest], vec![Lane::ZERO; widest]],
        }
    }

    /// Runs the `n_batch` windows whose scaled rows lie in `work.x`; hands each window's head values to `each`.
    pub(crate) fn run(
        &self,
        kernels: &Kernels,
        work: &mut LstmWork,
        n_batch: usize,
        mut each: impl FnMut(usize, &[f32]),
    ) {
        let rows = self.lookback * n_batch;
        for (l, layer) in self.layers.iter().enumerate() {
            let (blocks, top) = (layer.n_blocks(), l + 1 == self.layers.len());
            let gates = &mut work.gates[..rows * blocks];
            if l == 0 {
                layer.project(kernels, &work.x[..rows * self.x_stride], self.x_stride, gates);
            } else {
                let x = bytemuck::must_cast_slice(&work.sequence[..rows * blocks]);
                layer.project(kernels, x, blocks * LANES, gates);
            }
            let scratch = LstmScratch {
                gates,
                c: &mut work.c[..n_batch * blocks],
                h: &mut work.h[..n_batch * blocks],
                operand: &mut work.operand[..n_batch * blocks],
            };
            let sequence = if top {
                &mut [][..]
            } else {
                &mut work.sequence[..rows * blocks]
            };
            scratch.c.fill(Lane::ZERO);
            scratch.h.fill(Lane::ZERO);
            layer.recur(kernels, scratch, sequence, Order::Stacked, n_batch);
        }
        let blocks = self.layers.last().map_or(0, LstmLayer::n_blocks);
        for (window, h) in work.h[..n_batch * blocks].chunks_exact(blocks).enumerate() {
            each(window, self.run_head(kernels, h, &mut work.head));
        }
    }

    fn run_head<'a>(&self, kernels: &Kernels, h: &[Lane], buffers: &'a mut [Vec<Lane>; 2]) -> &'a [f32] {
        let [from, to] = buffers;
        let (mut from, mut to) = (from, to);
        for (j, layer) in self.head.iter().enumerate() {
            let x = if j == 0 { h } else { from.as_slice() };
            layer.forward(kernels, x, &mut to[..layer.n_lanes()]);
            core::mem::swap(&mut from, &mut to);
        }
        bytemuck::must_cast_slice(from)
    }
}

fn open_layer(
    from: &mut TensorReader<'_>,
    schema: &Schema,
    config: &LstmConfig,
    l: usize,
) -> Result<LstmLayer, OpenError> {
    let (n_hidden, blocks) = (config.n_hidden, n_blocks(config.n_hidden));
    let n_in = layer_input(config, schema.n_features(), l);
    let mut gates = |part: &str, n_in: usize| {
        let name = format!("lstm.{l}.{part}");
        gate_weights(from, schema.precision, &name, n_in, n_hidden)
    };
    let (input, recurrent) = (gates("input", n_in)?, gates("recurrent", n_hidden)?);
    let name = format!("lstm.{l}.bias");
    let bias = lines(&from.tensor::<f32>(&name, &[blocks, 4, LANES])?, &name)?;
    Ok(LstmLayer {
        input,
        recurrent,
        bias,
        n_in,
        n_hidden,
        stacked: l > 0,
    })
}

fn open_dense(
    from: &mut TensorReader<'_>,
    schema: &Schema,
    config: &LstmConfig,
    j: usize,
) -> Result<DenseLayer, OpenError> {
    let (n_in, layer) = (head_input(config, j), &config.head[j]);
    let panels = n_blocks(layer.n_out);
    let name = format!("head.{j}.weight");
    let weights = dense_weights(from, schema.precision, &name, n_in, layer.n_out)?;
    let name = format!("head.{j}.bias");
    let bias = lines(&from.tensor::<f32>(&name, &[panels, LANES])?, &name)?;
    Ok(DenseLayer {
        weights,
        bias,
        n_in,
        activation: layer.activation,
    })
}

fn layer_input(config: &LstmConfig, n_features: usize, l: usize) -> usize {
    if l == 0 { n_features } else { config.n_hidden }
}

fn head_input(config: &LstmConfig, j: usize) -> usize {
    if j == 0 {
        config.n_hidden
    } else {
        config.head[j - 1].n_out
    }
}

/// The model file's tensors from plain ones that have their places and shapes.
pub(crate) fn pack(schema: &Schema, config: &LstmConfig, plain: &PlainTensors) -> Vec<PackedTensor> {
    let layers = (0..config.n_layers).flat_map(|l| pack_layer(schema, config, plain, l));
    let head = (0..config.head.len()).flat_map(|j| pack_head(schema, config, plain, j));
    layers.chain(head).collect()
}

fn pack_layer(schema: &Schema, config: &LstmConfig, plain: &PlainTensors, l: usize) -> Vec<PackedTensor> {
    let (n_hidden, blocks) = (config.n_hidden, n_blocks(config.n_hidden));
    let gates = |part: &str, plain_name: &str| {
        let w = &plain[&format!("{plain_name}_l{l}")].data;
        PackedTensor::gates(schema.precision, format!("lstm.{l}.{part}"), w, n_hidden)
    };
    let mut packed = gates("input", "lstm.weight_ih");
    packed.extend(gates("recurrent", "lstm.weight_hh"));
    let bias = pack_gate_bias(&plain[&format!("lstm.bias_l{l}")].data, n_hidden);
    packed.push(PackedTensor::f32(
        format!("lstm.{l}.bias"),
        &[blocks, 4, LANES],
        &bias,
    ));
    packed
}

fn pack_head(schema: &Schema, config: &LstmConfig, plain: &PlainTensors, j: usize) -> Vec<PackedTensor> {
    let n_out = config.head[j].n_out;
    let name = format!("head.{j}.weight");
    let w = &plain[&name].data;
    let mut packed = PackedTensor::dense(schema.precision, name, w, n_out);
    let name = format!("head.{j}.bias");
    let bias = pack_dense_bias(&plain[&name].data);
    packed.push(PackedTensor::f32(name, &[n_blocks(n_out), LANES], &bias));
    packed
}

/// Plain tensors back from an opened bundle; for bf16 and i16 files the rounded values.
pub(crate) fn unpack(bundle: &Bundle, config: &LstmConfig) -> Result<PlainTensors, OpenError> {
    let net = LstmNet::open(bundle, config)?;
    let mut values = Vec::new();
    for layer in &net.layers {
        let gates = |w: &GateWeights, n_in: usize| match w {
            GateWeights::F32(w) => unpack_gates(w, config.n_hidden, n_in),
            GateWeights::Bf16(w) => unpack_gates(&unpair::<4>(w, n_in), config.n_hidden, n_in),
            GateWeights::I16(w, units) => unpack_gates(&unfix::<4>(w, units, n_in), config.n_hidden, n_in),
        };
        values.push(gates(&layer.input, layer.n_in));
        values.push(gates(&layer.recurrent, config.n_hidden));
        values.push(unpack_gates(&layer.bias, config.n_hidden, 1));
    }
    for (layer, shape) in net.head.iter().zip(&config.head) {
        values.push(match &layer.weights {
            DenseWeights::F32(w) => unpack_dense(w, shape.n_out, layer.n_in),
            DenseWeights::Bf16(w) => unpack_dense(&unpair_lanes(w, layer.n_in), shape.n_out, layer.n_in),
            DenseWeights::I16(w, units) => {
                unpack_dense(&unfix_lanes(w, units, layer.n_in), shape.n_out, layer.n_in)
            }
        });
        values.push(unpack_dense(&layer.bias, shape.n_out, 1));
    }
    let named = tensor_shapes(bundle.schema()).into_iter().zip(values);
    Ok(named
        .map(|((name, shape), data)| (name, PlainTensor { shape, data }))
        .collect())
}

fn unpair_lanes(pairs: &[PairLane], n_in: usize) -> Vec<Lane> {
    let single: &[[PairLane; 1]] = bytemuck::must_cast_slice(pairs);
    unpair(single, n_in).into_iter().map(|[lane]| lane).collect()
}

fn unfix_lanes(panels: &[FixedLane], units: &[Lane], n_in: usize) -> Vec<Lane> {
    let (panels, units): (&[[FixedLane; 1]], &[[Lane; 1]]) = (
        bytemuck::must_cast_slice(panels),
        bytemuck::must_cast_slice(units),
    );
    unfix(panels, units, n_in)
        .into_iter()
        .map(|[lane]| lane)
        .collect()
}
