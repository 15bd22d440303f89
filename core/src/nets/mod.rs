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
mod terms;
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

pub(crate) use lstm::{LstmBank, LstmBanks, LstmNeighbours, LstmNet, LstmWork, Member, Members};
pub use packed::{PackedTensor, check_plain};
pub(crate) use quantile_tft::{QuantileTftNet, QuantileTftWork};
pub use shapes::{n_parameters, tensor_shapes};
use store::Packed;
pub(crate) use terms::{Neighbours, RowTerms};
pub(crate) use tft::{TftNeighbours, TftNet, TftWork};
pub use xtrend::Contexts;
pub(crate) use xtrend::{XtrendNeighbours, XtrendNet, XtrendWork};

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

/// Buffers of windows side by side.
pub(crate) enum RowsNeighbours {
    Tft(TftNeighbours),
    Xtrend(XtrendNeighbours),
}

impl RowsWork {
    /// Becomes what `source`, of the same net, is, for a [`RowsNet::finish`] or a further [`RowsNet::pre_roll`].
    pub(crate) fn copy_from(&mut self, source: &Self) {
        match (self, source) {
            (Self::Tft(work), Self::Tft(source)) => work.copy_from(source),
            (Self::Xtrend(work), Self::Xtrend(source)) => work.copy_from(source),
            // A quantile TFT is not run ahead.
            _ => {}
        }
    }
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

    /// Whether rows have terms of their own, so that windows may be run up to their last row.
    pub(crate) fn has_terms(&self) -> bool {
        match self {
            Self::Tft(_) | Self::Xtrend(_) => true,
            Self::QuantileTft(_) => false,
        }
    }

    /// Whether windows may share those terms and be run side by side.
    pub(crate) fn shares_terms(&self) -> bool {
        match self {
            Self::Tft(net) => net.ends_with_its_answer(),
            Self::QuantileTft(_) => false,
            Self::Xtrend(_) => true,
        }
    }

    /// Room for the terms of `n_places` rows, where [`RowsNet::has_terms`].
    pub(crate) fn terms(&self, n_places: usize) -> RowTerms {
        match self {
            Self::Tft(net) => net.terms(n_places),
            Self::QuantileTft(_) => RowTerms::none(),
            Self::Xtrend(net) => net.terms(n_places),
        }
    }

    /// Room for the terms of the rows of the future, where the net reads any.
    pub(crate) fn terms_ahead(&self) -> RowTerms {
        match self {
            Self::Tft(net) => net.terms_ahead(),
            Self::QuantileTft(_) | Self::Xtrend(_) => RowTerms::none(),
        }
    }

    /// The terms of a row of the future, the first of `rows`, at its place, for the statics that began.
    pub(crate) fn add_ahead(
        &self,
        kernels: &Kernels,
        work: &mut RowsWork,
        rows: Rows<'_>,
        place: usize,
        terms: &mut RowTerms,
    ) {
        if let (Self::Tft(net), RowsWork::Tft(work)) = (self, work) {
            net.add_ahead(kernels, work, rows, place, terms);
        }
    }

    /// What the first row of whole windows decides, for all windows that have its statics.
    pub(crate) fn begin(&self, kernels: &Kernels, work: &mut RowsWork, rows: Rows<'_>) {
        match (self, work) {
            (Self::Tft(net), RowsWork::Tft(work)) => net.begin(kernels, work, rows),
            (Self::Xtrend(net), RowsWork::Xtrend(work)) => net.begin(work, rows),
            _ => {}
        }
    }

    /// The terms of rows, of which the first goes to the first of these places, for the statics that began.
    pub(crate) fn add_terms(
        &self,
        kernels: &Kernels,
        work: &mut RowsWork,
        rows: Rows<'_>,
        places: Range<usize>,
        terms: &mut RowTerms,
    ) {
        match (self, work) {
            (Self::Tft(net), RowsWork::Tft(work)) => net.add_terms(kernels, work, rows, places, terms),
            (Self::Xtrend(net), RowsWork::Xtrend(work)) => net.add_terms(kernels, work, rows, places, terms),
            _ => {}
        }
    }

    /// Runs some rows before the last one of a whole window, whose terms lie from `place` on; from row 0 on, in order.
    pub(crate) fn pre_roll(
        &self,
        kernels: &Kernels,
        work: &mut RowsWork,
        terms: &mut RowTerms,
        part: Range<usize>,
        place: usize,
    ) {
        match (self, work) {
            (Self::Tft(net), RowsWork::Tft(work)) => net.pre_roll(kernels, work, terms, part, place),
            (Self::Xtrend(net), RowsWork::Xtrend(work)) => net.pre_roll(kernels, work, terms, part, place),
            _ => {}
        }
    }

    /// The last row of a window whose other rows were run, its terms at a place, and so many rows of the future; may be repeated with
    /// others.
    pub(crate) fn finish<'w>(
        &self,
        kernels: &Kernels,
        work: &'w mut RowsWork,
        (terms, place): (&mut RowTerms, usize),
        ahead: (&mut RowTerms, usize),
    ) -> &'w [Lane] {
        match (self, work) {
            (Self::Tft(net), RowsWork::Tft(work)) => net.finish(kernels, work, (terms, place), ahead),
            (Self::Xtrend(net), RowsWork::Xtrend(work)) => net.finish(kernels, work, terms, place),
            _ => &[],
        }
    }

    /// Buffers for windows side by side, where [`RowsNet::shares_terms`].
    pub(crate) fn neighbours(&self) -> Option<RowsNeighbours> {
        match self {
            Self::Tft(net) => Some(RowsNeighbours::Tft(net.neighbours())),
            Self::QuantileTft(_) => None,
            Self::Xtrend(net) => Some(RowsNeighbours::Xtrend(net.neighbours())),
        }
    }

    /// Head values `[windows, output lanes]` of windows whose rows' terms are there, for the statics that began.
    pub(crate) fn run_side_by_side<'w>(
        &self,
        kernels: &Kernels,
        work: &RowsWork,
        terms: &mut RowTerms,
        windows: Neighbours,
        own: &'w mut RowsNeighbours,
    ) -> &'w [Lane] {
        match (self, work, own) {
            (Self::Tft(net), RowsWork::Tft(work), RowsNeighbours::Tft(own)) => {
                net.run_side_by_side(kernels, work, terms, windows, own)
            }
            (Self::Xtrend(net), RowsWork::Xtrend(work), RowsNeighbours::Xtrend(own)) => {
                net.run_side_by_side(kernels, work, terms, windows, own)
            }
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
