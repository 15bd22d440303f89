//! The `tables` key of a model file: which networks of single reals are interpolated, where, and how far off they are.

use super::net::Net;
use super::schema::{schema, unique};
use crate::error::OpenError;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Most intervals of one table.
pub const MAX_INTERVALS: usize = 4096;
/// Most halvings of a range: an interval is a whole number of `2^-MAX_DEPTH` of it.
pub const MAX_DEPTH: u32 = 14;

/// Tables of a model's networks of single reals. Without networks it is a wish: the writer fills them in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tables {
    /// Largest error asked for, as a share of the range of a network's outputs.
    pub tolerance: f64,
    /// Smallest scaled value that the tables were asked for.
    pub low: f64,
    /// Largest one.
    pub high: f64,
    /// What was found, one entry for each network of a real variable.
    #[serde(default)]
    pub networks: Vec<Tabulated>,
}

/// One network of a real variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tabulated {
    /// Its tensors stand under `run.{network}`.
    pub network: String,
    /// What the table has; absent where the tolerance was not met and the network itself answers every value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knots: Option<Knots>,
    /// Largest error measured against the network in f64, in the network's own unit.
    pub error: f64,
    /// The same as a share of the range of the network's outputs.
    pub share: f64,
}

/// Where a table has its knots.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knots {
    /// Smallest scaled value answered by the table.
    pub low: f64,
    /// Largest one. What lies outside is answered by the network.
    pub high: f64,
    /// Intervals; knots are one more.
    pub n_intervals: usize,
    /// Interval borders are multiples of `2^-depth` of the range.
    pub depth: u32,
}

impl Tables {
    /// A wish for tables of every network of a real variable.
    #[must_use]
    pub fn wish(tolerance: f64, low: f64, high: f64) -> Self {
        Self {
            tolerance,
            low,
            high,
            networks: Vec::new(),
        }
    }

    /// The largest share of any table.
    #[must_use]
    pub fn largest_share(&self) -> f64 {
        let tables = self.networks.iter().filter(|n| n.knots.is_some());
        tables.fold(0.0, |top, n| n.share.max(top))
    }

    pub(super) fn validate(&self, net: &Net) -> Result<(), OpenError> {
        if !matches!(net, Net::Tft(_) | Net::Xtrend(_)) {
            return Err(schema(
                "tables: expected the family tft or xtrend, which have networks of single reals".into(),
            ));
        }
        if !(self.tolerance.is_finite() && self.tolerance > 0.0) {
            return Err(schema(format!(
                "tables.tolerance: expected > 0, found {}",
                self.tolerance
            )));
        }
        in_order("tables", self.low, self.high)?;
        unique("tables.networks", self.networks.iter().map(|n| &n.network))?;
        self.networks.iter().try_for_each(Tabulated::validate)
    }
}

impl Tabulated {
    fn validate(&self) -> Result<(), OpenError> {
        let what = format!("tables.networks.{}", self.network);
        for (key, found) in [("error", self.error), ("share", self.share)] {
            if !(found.is_finite() && found >= 0.0) {
                return Err(schema(format!("{what}.{key}: expected 0 or more, found {found}")));
            }
        }
        self.knots.map_or(Ok(()), |knots| knots.validate(&what))
    }
}

impl Knots {
    /// Finest steps of the range.
    #[must_use]
    pub fn n_steps(&self) -> usize {
        1 << self.depth
    }

    fn validate(&self, what: &str) -> Result<(), OpenError> {
        in_order(&format!("{what}.knots"), self.low, self.high)?;
        if self.depth > MAX_DEPTH {
            return Err(schema(format!(
                "{what}.knots.depth: expected 0 to {MAX_DEPTH}, found {}",
                self.depth
            )));
        }
        let limit = MAX_INTERVALS.min(self.n_steps());
        super::schema::in_range(&format!("{what}.knots.n_intervals"), self.n_intervals, limit)
    }
}

/// A range whose length and steps are finite numbers too.
fn in_order(what: &str, low: f64, high: f64) -> Result<(), OpenError> {
    let steps = f64::from(1_u32 << MAX_DEPTH) / (high - low);
    if low < high && (high - low).is_finite() && steps.is_finite() {
        return Ok(());
    }
    Err(schema(format!(
        "{what}: expected finite low < high, found {low} and {high}"
    )))
}
