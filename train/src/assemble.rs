//! From a schema and plain tensors to the bytes of a model file: adds golden windows answered by the f64 oracle.
//!
//! The goldens depend on the schema and the tensors alone (a fixed generator, the oracle), so equal models are equal
//! files on every machine.

use half::bf16;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tickfuse_core::bundle::{
    Input, Net, Normalizer, NormalizerSource, Precision, Scaler, Schema, Tables, Transform,
};
use tickfuse_core::error::{OpenError, WriteError};
use tickfuse_core::plain::{Oracle, PlainTensor, PlainTensors, inverse};
use tickfuse_core::{Model, nets};

/// Golden windows per file.
const N_GOLDEN: usize = 2;
const GOLDEN_SEED: u64 = 0x7469_636b;
/// Accepted deviation as a share of the outputs' size: f32 rounding, bf16 products on levels that round activations, or integers in
/// place of weights and activations (on the nets of `bench` 3e-4 at most, but units of wide layers are coarser).
const F32_TOLERANCE: f32 = 2e-5;
const BF16_TOLERANCE: f32 = 3e-2;
const I16_TOLERANCE: f32 = 5e-3;

/// The bytes of a model file; `golden_tolerance` of the schema is set here.
///
/// # Errors
/// [`WriteError`] where tensors and schema disagree.
pub fn assemble(schema: &Schema, tensors: &PlainTensors) -> Result<Vec<u8>, WriteError> {
    // Checks names, shapes and values before the oracle relies on them.
    nets::pack(schema, tensors)?;
    let stored = as_stored(schema, tensors);
    let net = Oracle::new(schema, &stored);
    let windows = synthetic_windows(schema, N_GOLDEN, GOLDEN_SEED);
    let size = schema.n_rows() * schema.n_features();
    let answer = |window: &[f32]| net.run(&window.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
    let output: Vec<f32> = windows
        .chunks_exact(size)
        .flat_map(answer)
        .map(|v| v as f32)
        .collect();
    let schema = Schema {
        golden_tolerance: tolerance(schema.precision, &output),
        ..schema.clone()
    };
    nets::write_model(&schema, tensors, &windows, &output)
}

/// How far from these answers a file without tables may be.
fn tolerance(precision: Precision, output: &[f32]) -> f32 {
    let scale = output.iter().fold(1.0_f32, |top, v| top.max(v.abs()));
    match precision {
        Precision::F32 => F32_TOLERANCE * scale,
        Precision::Bf16 => BF16_TOLERANCE * scale,
        Precision::I16 => I16_TOLERANCE * scale,
    }
}

/// The same model in another precision. From f32 to bf16 or i16 rounds to nearest even; back gives the rounded values.
///
/// # Errors
/// [`OpenError`] when the model's tensors cannot be read back, [`WriteError`] when they cannot be written.
pub fn with_precision(model: &Model, precision: Precision) -> Result<Vec<u8>, AssembleError> {
    let tensors = nets::unpack(model.bundle())?;
    let schema = Schema {
        precision,
        ..model.schema().clone()
    };
    Ok(assemble(&schema, &tensors)?)
}

/// The same model with tables of its networks of single reals; the golden windows and answers stay, whichever tables it had.
///
/// # Errors
/// [`OpenError`] when the model's tensors cannot be read back, [`WriteError`] when there can be no such tables.
pub fn with_tables(model: &Model, wish: &Tables) -> Result<Vec<u8>, AssembleError> {
    let (tensors, golden) = (nets::unpack(model.bundle())?, model.bundle().golden());
    let old = model.schema();
    let schema = Schema {
        tables: Some(wish.clone()),
        golden_tolerance: match &old.tables {
            None => old.golden_tolerance,
            Some(_) => tolerance(old.precision, &golden.output),
        },
        ..old.clone()
    };
    Ok(nets::write_model(
        &schema,
        &tensors,
        &golden.input,
        &golden.output,
    )?)
}

/// Why a model could not be repacked.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// Reading.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Writing.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Weights as the file will hold them: an LSTM stack's matrices rounded for bf16, biases as they are. The other families fold
/// before they round, so their goldens are those of the plain tensors and the tolerance covers the rounding; so are all goldens of i16,
/// whose error is small enough to be held against the model as it was.
fn as_stored(schema: &Schema, tensors: &PlainTensors) -> PlainTensors {
    let is_rounded = schema.precision == Precision::Bf16 && matches!(schema.net, Net::Lstm(_));
    let round = |(name, tensor): (&String, &PlainTensor)| {
        let mut tensor = tensor.clone();
        if is_rounded && tensor.shape.len() == 2 {
            tensor
                .data
                .iter_mut()
                .for_each(|v| *v = bf16::from_f32(*v).to_f32());
        }
        (name.clone(), tensor)
    };
    tensors.iter().map(round).collect()
}

/// `n` raw windows around the centre of each scaler or normalizer, evenly distributed over four of its scales.
pub(crate) fn synthetic_windows(schema: &Schema, n: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut value = |input: &Input| {
        if let Some(categories) = &input.categories {
            return random.random_range(0..categories.n_codes()) as f32;
        }
        let scaled = random.random_range(-2.0..2.0);
        let normalizer = input.scaled_by.as_ref();
        match normalizer.and_then(|name| schema.normalizers.iter().find(|n| n.name == *name)) {
            Some(normalizer) => unscaled(normalizer, scaled) as f32,
            None => {
                let scaler = input.scaler.unwrap_or(Scaler::IDENTITY);
                (scaler.center + scaler.scale * scaled) as f32
            }
        }
    };
    let handed_in = || schema.inputs.iter().filter(|i| i.derived.is_none());
    (0..n * schema.n_rows())
        .flat_map(|_| handed_in().map(&mut value).collect::<Vec<_>>())
        .collect()
}

/// A raw value that the normalizer's transform admits and takes near `scaled`.
fn unscaled(normalizer: &Normalizer, scaled: f64) -> f64 {
    let [center, scale] = match &normalizer.source {
        NormalizerSource::Fixed { center, scale } => [*center, *scale],
        NormalizerSource::Table { rows, .. } => rows[0],
        NormalizerSource::Encoder { .. } => [0.0, 1.0],
    };
    let y = center + scale * scaled;
    match normalizer.transform {
        // The inverses of these answer in another unit than they take in, or lose what is negative.
        Transform::Log1p => y.exp_m1(),
        Transform::Count => y - 1.0,
        Transform::Relu => y,
        transform => inverse(transform, y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickfuse_core::plain::{center_scale, forward};

    #[test]
    fn golden_values_are_admitted_by_every_transform() {
        let all = [
            Transform::Identity,
            Transform::Log,
            Transform::Log1p,
            Transform::Softplus,
            Transform::Relu,
            Transform::Logit,
            Transform::Count,
            Transform::Sqrt,
        ];
        for transform in all {
            let normalizer = Normalizer {
                name: "n".into(),
                source: NormalizerSource::Fixed {
                    center: 0.5,
                    scale: 2.0,
                },
                transform,
            };
            let by = center_scale(&normalizer, |_| (0, 1), |_| Vec::new());
            for scaled in [-2.0, -0.25, 0.0, 1.5] {
                let y = f64::from(unscaled(&normalizer, scaled) as f32);
                assert!(forward(transform, y, f64::EPSILON).is_finite(), "{transform:?}");
                let back = by.scaled(&normalizer, y);
                let is_same = transform == Transform::Sqrt || (back - scaled).abs() < 1e-5;
                assert!(is_same, "{transform:?}: {scaled} came back as {back}");
            }
        }
    }
}
