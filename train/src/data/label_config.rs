//! Which labels are asked: columns, their rules and settings, and the value of one column at one row.
//!
//! The formulas stand in [`super::label_table`].

use super::error::DataError;
use super::label::LabelKind;
use super::volatility::SPAN;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Which labels a window has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelConfig {
    /// One entry per label column.
    pub columns: Vec<LabelColumn>,
    /// Of which steps of the window.
    #[serde(default)]
    pub steps: LabelSteps,
}

/// Of which steps of a window labels are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelSteps {
    /// The last one.
    #[default]
    Last,
    /// Every one, each with its own horizon.
    All,
    /// The steps behind the last one, as far as the horizon reaches: step k is asked about k bars.
    Ahead,
}

/// One label column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum LabelColumn {
    /// Up or not.
    Direction {},
    /// One of three classes.
    Classes {
        /// Names of falling, neither and rising, in this order.
        #[serde(default = "names")]
        names: [String; 3],
        /// Where they part.
        rule: ClassRule,
    },
    /// The return over the horizon.
    Return {
        /// Whether it is logarithmic.
        #[serde(default)]
        log: bool,
    },
    /// The return over the horizon in units of the target volatility.
    ScaledReturn {
        /// Target volatility of a year.
        #[serde(default = "target")]
        target: f64,
        /// Bars of a year.
        #[serde(default = "periods")]
        periods: f64,
        /// Span of the volatility.
        #[serde(default = "span")]
        span: usize,
    },
    /// The volatility of the decision.
    Volatility {
        /// Its span.
        #[serde(default = "span")]
        span: usize,
    },
    /// A column of the snapshot's files, which looks ahead no further than the horizon: numbers, or the names of classes.
    Column {
        /// Its name.
        name: String,
        /// The number of classes; its cells are then their numbers 0, 1, 2, ...
        #[serde(default, skip_serializing_if = "Option::is_none")]
        classes: Option<Vec<String>>,
        /// Unit of a column of numbers.
        #[serde(default = "value")]
        unit: String,
    },
}

/// Where three classes part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClassRule {
    /// A fixed return.
    Fixed {
        /// The return.
        threshold: f64,
    },
    /// A return in units of the volatility over the horizon.
    Volatility {
        /// The number of deviations.
        threshold: f64,
        /// Span of the volatility.
        #[serde(default = "span")]
        span: usize,
    },
    /// The barrier that is reached first.
    TripleBarrier {
        /// Distance of the upper barrier, in deviations over the horizon.
        up: f64,
        /// Distance of the lower barrier.
        down: f64,
        /// Span of the volatility.
        #[serde(default = "span")]
        span: usize,
    },
}

fn names() -> [String; 3] {
    ["sell", "hold", "buy"].map(str::to_owned)
}

fn target() -> f64 {
    0.15
}

fn periods() -> f64 {
    252.0
}

fn span() -> usize {
    SPAN
}

fn value() -> String {
    "value".into()
}

impl LabelConfig {
    /// What the columns are.
    #[must_use]
    pub fn kinds(&self) -> Vec<LabelKind> {
        self.columns.iter().map(LabelColumn::kind).collect()
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// [`DataError::Setting`] with the first key out of range.
    pub fn validate(&self) -> Result<(), DataError> {
        if self.columns.is_empty() {
            return Err(setting("labels.columns", "one or more", "none"));
        }
        if self.steps == LabelSteps::Ahead && self.columns.iter().any(|c| c.of_file().is_some()) {
            return Err(setting(
                "labels of every step ahead",
                "labels that are computed from bars",
                "a column of the file",
            ));
        }
        self.columns.iter().try_for_each(LabelColumn::validate)
    }
}

impl LabelColumn {
    /// What the column is.
    #[must_use]
    pub fn kind(&self) -> LabelKind {
        match self {
            Self::Direction {} => LabelKind::Direction,
            Self::Classes { names, .. } => LabelKind::Classes(names.to_vec()),
            Self::Return { .. } => LabelKind::Return,
            Self::ScaledReturn { .. } => LabelKind::ScaledReturn,
            Self::Volatility { .. } => LabelKind::Volatility,
            Self::Column { classes: None, .. } => LabelKind::Number,
            Self::Column {
                classes: Some(names), ..
            } => LabelKind::Classes(names.clone()),
        }
    }

    /// The column of the snapshot's files that it is.
    #[must_use]
    pub fn of_file(&self) -> Option<&str> {
        match self {
            Self::Column { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Span of the volatility that the column needs.
    pub(super) fn span(&self) -> Option<usize> {
        match *self {
            Self::ScaledReturn { span, .. } | Self::Volatility { span } => Some(span),
            Self::Classes {
                rule: ClassRule::Volatility { span, .. } | ClassRule::TripleBarrier { span, .. },
                ..
            } => Some(span),
            _ => None,
        }
    }

    fn validate(&self) -> Result<(), DataError> {
        if let Some(span) = self.span().filter(|span| *span < 2) {
            return Err(setting("labels.span", "2 or more", &span.to_string()));
        }
        let positive = |name, x: f64| match x > 0.0 && x.is_finite() {
            true => Ok(()),
            false => Err(setting(name, "a positive number", &x.to_string())),
        };
        match self {
            Self::ScaledReturn { target, periods, .. } => {
                positive("labels.target", *target).and(positive("labels.periods", *periods))
            }
            Self::Classes { names, rule } => {
                if names.iter().any(String::is_empty)
                    || names[0] == names[1]
                    || names[1] == names[2]
                    || names[0] == names[2]
                {
                    return Err(setting(
                        "labels.names",
                        "three different names",
                        &names.join(", "),
                    ));
                }
                match *rule {
                    ClassRule::Fixed { threshold } | ClassRule::Volatility { threshold, .. } => {
                        positive("labels.threshold", threshold)
                    }
                    ClassRule::TripleBarrier { up, down, .. } => {
                        positive("labels.up", up).and(positive("labels.down", down))
                    }
                }
            }
            Self::Column {
                classes: Some(names), ..
            } => {
                let distinct: BTreeSet<&String> = names.iter().collect();
                match names.len() >= 2 && distinct.len() == names.len() && !names.iter().any(String::is_empty)
                {
                    true => Ok(()),
                    false => Err(setting(
                        "labels.classes",
                        "two or more different names",
                        &names.join(", "),
                    )),
                }
            }
            _ => Ok(()),
        }
    }

    /// The value at a row, none for a column of the file: `path` holds the closes from it to the end of its horizon.
    pub(super) fn value(&self, path: &[f64], sigma: Option<f64>) -> Option<f64> {
        let (now, then) = (path[0], path[path.len() - 1]);
        let (change, root) = (then / now - 1.0, ((path.len() - 1) as f64).sqrt());
        match self {
            Self::Direction {} => Some(f64::from(u8::from(then > now))),
            Self::Return { log: false } => Some(change),
            Self::Return { log: true } => Some((then / now).ln()),
            Self::ScaledReturn { target, periods, .. } => Some(change * target / (periods.sqrt() * sigma?)),
            Self::Volatility { .. } => sigma,
            Self::Column { .. } => None,
            Self::Classes { rule, .. } => match *rule {
                ClassRule::Fixed { threshold } => Some(class(change, threshold)),
                ClassRule::Volatility { threshold, .. } => Some(class(change, threshold * sigma? * root)),
                ClassRule::TripleBarrier { up, down, .. } => {
                    let unit = sigma? * root;
                    Some(barrier(path, now * (1.0 + up * unit), now * (1.0 - down * unit)))
                }
            },
        }
    }
}

pub(super) fn setting(name: &'static str, expected: &'static str, found: &str) -> DataError {
    DataError::Setting {
        name,
        expected,
        found: found.to_owned(),
    }
}

fn class(change: f64, threshold: f64) -> f64 {
    if change > threshold {
        2.0
    } else if change < -threshold {
        0.0
    } else {
        1.0
    }
}

fn barrier(path: &[f64], upper: f64, lower: f64) -> f64 {
    let reached = path[1..].iter().find_map(|&c| match (c >= upper, c <= lower) {
        (true, _) => Some(2.0),
        (_, true) => Some(0.0),
        _ => None,
    });
    reached.unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_and_unknown_keys_are_refused() {
        for text in [
            "columns = []",
            r#"columns = [{ kind = "scaled_return", span = 1 }]"#,
            r#"columns = [{ kind = "scaled_return", target = 0.0 }]"#,
            r#"columns = [{ kind = "classes", names = ["a", "a", "b"], rule = { by = "fixed", threshold = 0.01 } }]"#,
            r#"columns = [{ kind = "classes", rule = { by = "fixed", threshold = -0.01 } }]"#,
            r#"columns = [{ kind = "classes", rule = { by = "triple_barrier", up = 1.0, down = 0.0 } }]"#,
            r#"columns = [{ kind = "column", name = "y", classes = ["a", "a"] }]"#,
            "steps = \"ahead\"\ncolumns = [{ kind = \"column\", name = \"y\" }]",
        ] {
            let config: LabelConfig = toml::from_str(text).unwrap();
            assert!(config.validate().is_err(), "{text}");
        }
        for text in [
            r#"columns = [{ kind = "return", logs = true }]"#,
            r#"columns = [{ kind = "up" }]"#,
        ] {
            assert!(toml::from_str::<LabelConfig>(text).is_err(), "{text}");
        }
    }
}
