//! `tickfuse_input`, `tickfuse_output` and the arrival of a model: what goes in, what comes out and how, column by column.

use crate::error::{Failure, UseError};
use crate::guard;
use crate::last_error;
use crate::model::ModelHandle;
use crate::pointer;
use crate::sized::{OutSized, SizeLed};
use tickfuse_core::Model;
use tickfuse_core::bundle::{Arrival, Categories, Input, Missing, Output, OutputKind, Role, Schema};

/// `TICKFUSE_LABEL_SIZE`.
pub const LABEL_SIZE: usize = 128;

/// `TICKFUSE_ARRIVAL_NONE`.
pub const ARRIVAL_NONE: u32 = 0;
/// `TICKFUSE_ARRIVAL_WHOLE_WINDOW`.
pub const ARRIVAL_WHOLE_WINDOW: u32 = 1;
/// `TICKFUSE_ARRIVAL_PREPARED`.
pub const ARRIVAL_PREPARED: u32 = 2;

/// `TICKFUSE_ROLE_OBSERVED`.
pub const ROLE_OBSERVED: u32 = 0;
/// `TICKFUSE_ROLE_KNOWN`.
pub const ROLE_KNOWN: u32 = 1;
/// `TICKFUSE_ROLE_STATIC`.
pub const ROLE_STATIC: u32 = 2;

/// `TICKFUSE_MISSING_REFUSED`.
pub const MISSING_REFUSED: u32 = 0;
/// `TICKFUSE_MISSING_IMPUTED`.
pub const MISSING_IMPUTED: u32 = 1;

/// `TICKFUSE_OUTPUT_VALUE`.
pub const OUTPUT_VALUE: u32 = 0;
/// `TICKFUSE_OUTPUT_PROBABILITY`.
pub const OUTPUT_PROBABILITY: u32 = 1;
/// `TICKFUSE_OUTPUT_POSITION`.
pub const OUTPUT_POSITION: u32 = 2;
/// `TICKFUSE_OUTPUT_QUANTILE`.
pub const OUTPUT_QUANTILE: u32 = 3;
/// `TICKFUSE_OUTPUT_MEAN`.
pub const OUTPUT_MEAN: u32 = 4;
/// `TICKFUSE_OUTPUT_DEVIATION`.
pub const OUTPUT_DEVIATION: u32 = 5;

/// `tickfuse_input` of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct CallerInput {
    /// Bytes of the caller's structure.
    pub size: usize,
    /// Codes of a categorical column; 0 for a real one.
    pub n_categories: usize,
    /// `TICKFUSE_ROLE_*`.
    pub role: u32,
    /// `TICKFUSE_MISSING_*`.
    pub missing: u32,
    /// 1 where a stream of bars makes the column.
    pub is_of_bars: u32,
    /// Zero.
    pub reserved: u32,
    /// Text that ends with a zero.
    pub name: [u8; LABEL_SIZE],
}

/// `tickfuse_output` of the header.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct CallerOutput {
    /// Bytes of the caller's structure.
    pub size: usize,
    /// `TICKFUSE_OUTPUT_*`.
    pub kind: u32,
    /// Number of the step it speaks of, from 1.
    pub step: u32,
    /// Level of a quantile; 0 for all else.
    pub tau: f64,
    /// Text that ends with a zero.
    pub name: [u8; LABEL_SIZE],
    /// Text that ends with a zero.
    pub unit: [u8; LABEL_SIZE],
}

impl SizeLed for CallerInput {}
impl SizeLed for CallerOutput {}

impl CallerInput {
    /// What `TICKFUSE_INPUT_INIT` gives.
    pub const INIT: Self = Self {
        size: size_of::<Self>(),
        n_categories: 0,
        role: ROLE_OBSERVED,
        missing: MISSING_REFUSED,
        is_of_bars: 0,
        reserved: 0,
        name: [0; LABEL_SIZE],
    };

    fn new(size: usize, input: &Input) -> Self {
        Self {
            size,
            n_categories: input.categories.as_ref().map_or(0, Categories::n_codes),
            role: match input.role {
                Role::Observed => ROLE_OBSERVED,
                Role::Known => ROLE_KNOWN,
                Role::Static => ROLE_STATIC,
            },
            missing: match input.missing {
                Missing::Reject => MISSING_REFUSED,
                Missing::Center => MISSING_IMPUTED,
            },
            is_of_bars: input.feature.is_some().into(),
            reserved: 0,
            name: label(&input.name),
        }
    }
}

impl CallerOutput {
    /// What `TICKFUSE_OUTPUT_INIT` gives.
    pub const INIT: Self = Self {
        size: size_of::<Self>(),
        kind: OUTPUT_VALUE,
        step: 0,
        tau: 0.0,
        name: [0; LABEL_SIZE],
        unit: [0; LABEL_SIZE],
    };

    /// Number `index` of an answer, which must have it.
    fn new(size: usize, schema: &Schema, index: usize) -> Self {
        let n_columns = schema.n_columns();
        let (group, column) = column(&schema.outputs, index % n_columns);
        Self {
            size,
            kind: kind(group.kind, column),
            step: u32::try_from(index / n_columns + 1).unwrap_or(u32::MAX),
            tau: group.levels.get(column).copied().unwrap_or_default(),
            name: label(&schema.output_names()[index]),
            unit: label(&group.unit),
        }
    }
}

/// The group of a column, and the column's place in it.
fn column(groups: &[Output], mut at: usize) -> (&Output, usize) {
    let mut rest = groups.iter();
    loop {
        let group = rest.next().expect("an answer's columns are those of its groups");
        match at.checked_sub(group.labels.len()) {
            Some(behind) => at = behind,
            None => return (group, at),
        }
    }
}

fn kind(kind: OutputKind, column: usize) -> u32 {
    match kind {
        OutputKind::Linear => OUTPUT_VALUE,
        OutputKind::Sigmoid | OutputKind::Softmax => OUTPUT_PROBABILITY,
        OutputKind::Tanh => OUTPUT_POSITION,
        OutputKind::Quantiles | OutputKind::SortedQuantiles | OutputKind::CumulativeQuantiles => {
            OUTPUT_QUANTILE
        }
        OutputKind::GaussianLogSigma | OutputKind::GaussianSoftplus => {
            [OUTPUT_MEAN, OUTPUT_DEVIATION][column]
        }
    }
}

/// A text that ends with a zero, cut between characters where it is too long.
fn label(text: &str) -> [u8; LABEL_SIZE] {
    let mut made = [0; LABEL_SIZE];
    let len = last_error::floor_boundary(text, LABEL_SIZE - 1);
    made[..len].copy_from_slice(&text.as_bytes()[..len]);
    made
}

/// Describes number `index` of `limit`.
///
/// # Safety
/// The header's rules for pointers.
unsafe fn describe<T: SizeLed>(
    model: *const ModelHandle,
    index: usize,
    out: *mut T,
    limit: fn(&Schema) -> usize,
    new: impl FnOnce(usize, &Schema) -> T,
) -> Result<(), Failure> {
    // SAFETY: the caller's promise is passed on.
    let model = unsafe { pointer::borrow(model, "model") }?;
    // SAFETY: the caller's promise is passed on.
    let out = unsafe { OutSized::new(out, "out") }?;
    let described = model.with(|model| {
        let limit = limit(model.schema());
        match index < limit {
            true => Ok(new(out.size(), model.schema())),
            false => Err(UseError::Index { limit, found: index }),
        }
    })?;
    out.write(described?);
    Ok(())
}

/// `tickfuse_model_input` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_input(
    model: *const ModelHandle,
    index: usize,
    out: *mut CallerInput,
) -> i32 {
    let new = |size, schema: &Schema| CallerInput::new(size, &schema.inputs[index]);
    // SAFETY: the caller's promise is passed on.
    guard::status(|| unsafe { describe(model, index, out, Schema::n_features, new) })
}

/// `tickfuse_model_output` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_output(
    model: *const ModelHandle,
    index: usize,
    out: *mut CallerOutput,
) -> i32 {
    let new = |size, schema: &Schema| CallerOutput::new(size, schema, index);
    // SAFETY: the caller's promise is passed on.
    guard::status(|| unsafe { describe(model, index, out, Schema::n_outputs, new) })
}

fn arrival(model: &Model) -> u32 {
    match model.schema().arrival {
        Arrival::WholeWindow => ARRIVAL_WHOLE_WINDOW,
        Arrival::PreRolled => ARRIVAL_PREPARED,
    }
}

/// `tickfuse_model_arrival` of the header.
///
/// # Safety
/// The header's rules for pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tickfuse_model_arrival(model: *const ModelHandle) -> u32 {
    guard::value(ARRIVAL_NONE, || {
        // SAFETY: the caller's promise is passed on.
        let model = unsafe { pointer::borrow(model, "model") }?;
        model.with(|model| arrival(model))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_models::families;

    #[test]
    fn every_number_of_an_answer_has_the_name_the_core_gives_it_and_a_step() {
        for schema in families::small_schemas() {
            for (index, name) in schema.output_names().iter().enumerate() {
                let made = CallerOutput::new(CallerOutput::INIT.size, &schema, index);
                assert_eq!(made.name[..name.len()], *name.as_bytes());
                assert_eq!(made.name[name.len()], 0);
                assert_eq!(made.step as usize, index / schema.n_columns() + 1);
                assert_eq!(made.kind == OUTPUT_QUANTILE, made.tau > 0.0);
            }
        }
    }

    #[test]
    fn a_gaussian_is_a_mean_and_a_deviation() {
        let labels = vec!["mean".to_owned(), "deviation".to_owned()];
        let group = Output::new("ret", OutputKind::GaussianSoftplus, labels, "log_return");
        let groups = [
            Output::new("p", OutputKind::Sigmoid, vec!["up".to_owned()], "probability"),
            group,
        ];
        let found = [0, 1, 2].map(|at| {
            let (group, column) = column(&groups, at);
            kind(group.kind, column)
        });
        assert_eq!(found, [OUTPUT_PROBABILITY, OUTPUT_MEAN, OUTPUT_DEVIATION]);
    }

    #[test]
    fn a_long_label_is_cut_between_characters_and_ends_with_a_zero() {
        for text in ["x".repeat(127), "x".repeat(200), "\u{20ac}".repeat(60)] {
            let made = label(&text);
            let kept = core::ffi::CStr::from_bytes_until_nul(&made)
                .unwrap()
                .to_str()
                .unwrap();
            assert!(text.starts_with(kept) && kept.len() > 124, "{kept}");
        }
    }
}
