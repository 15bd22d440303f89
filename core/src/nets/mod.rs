//! Network families: which layers, in which order, on which data. Nothing numeric.

mod fold;
mod lstm;
mod packed;
mod parts;
mod quantile_tft;
mod scalar;
mod shapes;
mod store;
mod tables;
mod tft;
mod xtrend;

use crate::bundle::{self, Bundle, CONTEXTS_PREFIX, Net, PLAIN_PREFIX, Schema, Tensor};
use crate::columns::Intake;
use crate::error::{OpenError, RunError, WriteError};
use crate::interpretation::Interpretation;
use crate::kernels::Kernels;
use crate::layers::Rows;
use crate::plain::{PlainTensor, PlainTensors};
use crate::simd::Lane;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

pub(crate) use lstm::{LstmBank, LstmNet, LstmWork};
pub use packed::{PackedTensor, check_plain};
pub(crate) use quantile_tft::{QuantileTftNet, QuantileTftWork};
pub use shapes::{n_parameters, tensor_shapes};
use store::Packed;
pub(crate) use tft::{TftNet, TftWork};
pub use xtrend::Contexts;
pub(crate) use xtrend::{XtrendNet, XtrendWork};

/// The model file's tensors from plain ones, but for tables; every plain tensor must have its place and its shape.
///
/// # Errors
/// [`OpenError::MissingTensor`], [`OpenError::UnknownTensor`], [`OpenError::TensorShape`], [`OpenError::NonFinite`].
pub fn pack(schema: &Schema, plain: &PlainTensors) -> Result<Vec<PackedTensor>, OpenError> {
    Ok(fold(schema, plain)?.tensors)
}

/// The tensors of [`pack`], and what tables can be made of.
fn fold(schema: &Schema, plain: &PlainTensors) -> Result<Packed, OpenError> {
    check_plain(schema, plain)?;
    let mut packed = match &schema.net {
        Net::Lstm(config) => {
            return Ok(Packed {
                tensors: lstm::pack(schema, config, plain),
                scalars: Vec::new(),
            });
        }
        Net::Tft(config) => tft::pack(schema, config, plain),
        Net::QuantileTft(config) => quantile_tft::pack(schema, config, plain),
        Net::Xtrend(config) => xtrend::pack(schema, config, plain),
    };
    // Folded tensors with the plain ones behind them.
    for (name, tensor) in plain {
        let kept = PackedTensor::f32(plain_name(name), &tensor.shape, &tensor.data);
        packed.tensors.push(kept);
    }
    Ok(packed)
}

/// Plain tensors back from an opened bundle; for bf16 files the rounded values.
///
/// # Errors
/// As for opening the net.
pub fn unpack(bundle: &Bundle) -> Result<PlainTensors, OpenError> {
    match &bundle.schema().net {
        Net::Lstm(config) => lstm::unpack(bundle, config),
        _ => kept_plain(bundle),
    }
}

/// Under which name a file keeps a plain tensor.
fn plain_name(name: &str) -> String {
    if name.starts_with(CONTEXTS_PREFIX) {
        return name.to_string();
    }
    format!("{PLAIN_PREFIX}{name}")
}

/// Marks the plain tensors as known, each with its shape.
fn open_plain(from: &mut store::Opener<'_>, schema: &Schema) -> Result<(), OpenError> {
    for (name, shape) in tensor_shapes(schema) {
        from.data(&plain_name(&name), &shape)?;
    }
    Ok(())
}

fn kept_plain(bundle: &Bundle) -> Result<PlainTensors, OpenError> {
    let take = |(name, shape): (String, Vec<usize>)| {
        let data = bundle.tensor::<f32>(&plain_name(&name), &shape)?.to_vec();
        Ok((name, PlainTensor { shape, data }))
    };
    tensor_shapes(bundle.schema()).into_iter().map(take).collect()
}

/// An opened net.
#[allow(
    clippy::large_enum_variant,
    reason = "one per model or session, and it stays where it is"
)]
pub(crate) enum OpenNet {
    /// Runs several windows side by side.
    Lstm(LstmNet),
    /// Runs one window after the other.
    Rows(RowsNet),
}

/// A net that reads the rows of one window.
#[allow(
    clippy::large_enum_variant,
    reason = "one per model or session, and it stays where it is"
)]
pub(crate) enum RowsNet {
    Tft(TftNet),
    QuantileTft(QuantileTftNet),
    Xtrend(XtrendNet),
}

/// Buffers of a [`RowsNet`].
pub(crate) enum RowsWork {
    Tft(TftWork),
    QuantileTft(QuantileTftWork),
    Xtrend(XtrendWork),
}

impl OpenNet {
    /// Takes the net's tensors out of the bundle, all of them and no others.
    pub(crate) fn open(bundle: &Bundle, intake: &Intake, kernels: &Kernels) -> Result<Self, OpenError> {
        Ok(match &bundle.schema().net {
            Net::Lstm(config) => Self::Lstm(LstmNet::open(bundle, config)?),
            Net::Tft(config) => Self::Rows(RowsNet::Tft(TftNet::open(bundle, config)?)),
            Net::QuantileTft(config) => {
                Self::Rows(RowsNet::QuantileTft(QuantileTftNet::open(bundle, config)?))
            }
            Net::Xtrend(config) => {
                Self::Rows(RowsNet::Xtrend(XtrendNet::open(bundle, config, intake, kernels)?))
            }
        })
    }

    /// The net if it attends to contexts.
    pub(crate) fn with_contexts(&self) -> Result<&XtrendNet, RunError> {
        match self {
            Self::Rows(RowsNet::Xtrend(net)) => Ok(net),
            _ => Err(RunError::NoContexts),
        }
    }
}

impl RowsNet {
    /// Buffers for one window.
    pub(crate) fn work(&self) -> RowsWork {
        match self {
            Self::Tft(net) => RowsWork::Tft(net.work()),
            Self::QuantileTft(net) => RowsWork::QuantileTft(net.work()),
            Self::Xtrend(net) => RowsWork::Xtrend(net.work()),
        }
    }

    /// Weights of the last run.
    pub(crate) fn interpret(&self, work: &RowsWork) -> Vec<Interpretation> {
        match (self, work) {
            (Self::Tft(net), RowsWork::Tft(work)) => net.interpret(work),
            (Self::QuantileTft(net), RowsWork::QuantileTft(work)) => net.interpret(work),
            (Self::Xtrend(net), RowsWork::Xtrend(work)) => net.interpret(work),
            _ => Vec::new(),
        }
    }

    /// Whether all rows but the last can be run before the last one is known.
    pub(crate) fn pre_rolls(&self) -> bool {
        match self {
            Self::Tft(net) => net.pre_rolls(),
            Self::QuantileTft(_) => false,
            Self::Xtrend(_) => true,
        }
    }

    /// Runs some rows before the last one of a whole window, where [`RowsNet::pre_rolls`]; from row 0 on, in order.
    pub(crate) fn pre_roll(
        &self,
        kernels: &Kernels,
        work: &mut RowsWork,
        rows: Rows<'_>,
        part: Range<usize>,
    ) {
        match (self, work) {
            (Self::Tft(net), RowsWork::Tft(work)) => net.pre_roll(kernels, work, rows, part),
            (Self::Xtrend(net), RowsWork::Xtrend(work)) => net.pre_roll(kernels, work, rows, part),
            _ => {}
        }
    }

    /// The last row of a window whose other rows were run; may be repeated with another row.
    pub(crate) fn finish<'w>(&self, kernels: &Kernels, work: &'w mut RowsWork, rows: Rows<'_>) -> &'w [Lane] {
        match (self, work) {
            (Self::Tft(net), RowsWork::Tft(work)) => net.finish(kernels, work, rows),
            (Self::Xtrend(net), RowsWork::Xtrend(work)) => net.finish(kernels, work, rows),
            _ => &[],
        }
    }

    /// One window to head values `[answers, output lanes]`.
    pub(crate) fn run<'w>(
        &self,
        kernels: &Kernels,
        work: &'w mut RowsWork,
        rows: Rows<'_>,
        n_encoder: usize,
        n_decoder: usize,
    ) -> &'w [Lane] {
        match (self, work) {
            (Self::Tft(net), RowsWork::Tft(work)) => net.run(kernels, work, rows, n_encoder, n_decoder),
            (Self::QuantileTft(net), RowsWork::QuantileTft(work)) => net.run(kernels, work, rows),
            (Self::Xtrend(net), RowsWork::Xtrend(work)) => net.run(kernels, work, rows),
            _ => &[],
        }
    }
}

/// The bytes of a model file from a schema, plain tensors, golden windows `input [n, n_rows, n_features]` (raw) and
/// their outputs `output [n, n_outputs]`.
///
/// Where the schema wishes for tables they are made and measured here, whatever networks it lists, and the golden tolerance, which is
/// that of the exact networks, grows by what the tables may cost.
///
/// # Errors
/// [`WriteError`] where tensors, goldens and schema disagree, or the tables are too large.
pub fn write_model(
    schema: &Schema,
    plain: &PlainTensors,
    input: &[f32],
    output: &[f32],
) -> Result<Vec<u8>, WriteError> {
    let mut packed = fold(schema, plain)?;
    let mut schema = Cow::Borrowed(schema);
    if let Some(wish) = &schema.tables {
        schema.validate()?;
        let (tables, tensors) = tables::make(wish, &packed.scalars)?;
        packed.tensors.extend(tensors);
        let golden_tolerance = schema.golden_tolerance + tables::golden_share(&tables, output);
        schema = Cow::Owned(Schema {
            tables: Some(tables),
            golden_tolerance,
            ..schema.into_owned()
        });
    }
    let (window, n) = (
        [schema.n_rows(), schema.n_features()],
        output.len() / schema.n_outputs().max(1),
    );
    let (input_shape, output_shape) = ([n, window[0], window[1]], [n, schema.n_outputs()]);
    let golden = [
        Tensor::new("golden.input", &input_shape, input),
        Tensor::new("golden.output", &output_shape, output),
    ];
    let tensors = packed.tensors.iter().map(PackedTensor::as_tensor);
    bundle::write(&schema, &tensors.chain(golden).collect::<Vec<_>>())
}
