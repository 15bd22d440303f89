//! The columns of windows and answers: raw values to what a net reads, head values to outputs in their units.

pub(crate) mod answer;
mod contexts;
mod intake;
mod normalize;
mod row;

pub(crate) use intake::{Intake, IntakeWork, RawWindow};
pub(crate) use normalize::CenterScale;
pub(crate) use row::{Head, RowChecks};
