//! Bars to feature rows, one bar at a time: the same code serves training and the router.

mod op;

pub use op::FeatureOp;

/// One OHLCV record of one symbol.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// Open time, ns since the epoch, UTC.
    pub ts_ns: i64,
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
    /// Traded quantity in the source's unit.
    pub volume: f64,
}
