//! Foreign models: the only place that knows foreign names, orders and layouts.

pub mod checkpoint;
pub mod forecasting;
pub mod pickle;
pub mod seed;
pub mod state_dict;
pub mod torch;
