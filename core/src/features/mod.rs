//! Bars to feature rows, one bar at a time: the same code serves training and the router.
//!
//! A [`FeatureDef`] names a column and says how it is computed ([`FeatureOp`]); a bundle carries the list. A
//! [`FeatureSet`] takes one [`Bar`] after another and answers with rows; [`rows`] is that stream in a loop, so
//! batch and stream agree bit for bit. Each bar costs the same few operations whatever the periods.
//!
//! ```
//! use tickfuse_core::features::{Bar, FeatureSet, Ready, standard_set};
//!
//! let mut set = FeatureSet::new(&standard_set("seed-001").unwrap())?;
//! let mut row = vec![0.0; set.n_features()];
//! let bar = Bar { ts_ns: 0, open: 9.0, high: 9.5, low: 8.5, close: 9.0, volume: 3.0 };
//! assert_eq!(set.push(&bar, &mut row)?, Ready::Row);
//! assert_eq!(row, [9.0, 3.0, 0.0, 0.0, 0.0]);
//! # Ok::<(), tickfuse_core::error::FeatureError>(())
//! ```
//!
//! # Missing values
//! There are none: a bar with a NaN, an infinity or prices out of order is refused ([`Bar::validate`]) and
//! leaves the stream as it was; no row is given during warm-up; every value of a row is finite. A gap in time is
//! no error here: features count bars, not seconds.
//!
//! # Start-up
//! [`FeatureSet::warm_up`] bars give no row. Exponential averages remember their start for longer:
//! [`FeatureSet::history`] bars make a row independent of it.
//!
//! # Drift
//! There is none: see `window.rs` for running sums and `smooth.rs` for exponential averages.

mod bar;
mod double;
mod indicators;
mod op;
mod params;
mod set;
mod smooth;
mod standard;
mod state;
mod window;

pub use bar::Bar;
pub use op::FeatureOp;
pub use params::{
    BollingerLine, Cycle, Deviation, EmaStart, Estimator, MAX_PERIOD, MacdForm, MacdPart, Smoothing, Wave,
};
pub use set::{FeatureDef, FeatureSet, Ready, Rows, RowsError, rows};
pub use standard::{STANDARD_SETS, standard_set};
