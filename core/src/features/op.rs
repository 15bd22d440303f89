//! The feature definitions a bundle can name.

use crate::error::FeatureError;
use serde::{Deserialize, Serialize};

/// One feature with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FeatureOp {
    /// The closing price.
    Close,
}

impl FeatureOp {
    /// Checks the parameters.
    ///
    /// # Errors
    /// Names feature, parameter, range and value.
    pub fn validate(&self, _name: &str) -> Result<(), FeatureError> {
        Ok(())
    }
}
