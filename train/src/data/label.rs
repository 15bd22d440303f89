//! What a window is asked: `close[t+H] > close[t]`, t the last bar of the window, H bars counted once.
//!
//! A tie is not up. A row whose H-th successor lies outside its segment has no label and gives no window; it is
//! never given the label 0.

use super::table::FeatureTable;
use serde::{Deserialize, Serialize};

/// What the numbers of a label column are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelKind {
    /// 1 for up, 0 for not up.
    Direction,
    /// The number of a class; names in the order of the numbers.
    Classes(Vec<String>),
    /// A return.
    Return,
    /// A return in units of the target volatility.
    ScaledReturn,
    /// The volatility of the decision.
    Volatility,
    /// A number that the file brought.
    Number,
}

/// In which unit a label column is trained: `(label - center) / scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    /// Its zero.
    pub center: f64,
    /// Its one.
    pub scale: f64,
}

impl Unit {
    /// As it stands.
    pub const IDENTITY: Self = Self {
        center: 0.0,
        scale: 1.0,
    };

    /// From this unit back.
    #[must_use]
    pub fn undo(self, value: f64) -> f64 {
        value * self.scale + self.center
    }
}

impl LabelKind {
    /// For messages.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Direction => "a direction, 0 or 1".into(),
            Self::Classes(names) => format!("the classes {}", names.join(", ")),
            Self::Return => "a return".into(),
            Self::ScaledReturn => "a volatility-scaled return".into(),
            Self::Volatility => "a volatility".into(),
            Self::Number => "a number of the file".into(),
        }
    }
}

/// What happened in the H bars after a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Label {
    /// The row H bars later.
    pub end_row: usize,
    /// `close[t+H] > close[t]`.
    pub up: bool,
    /// `close[t+H] / close[t] - 1`.
    pub future_return: f64,
}

/// The label of row `t`, unless its segment ends before row `t + horizon`.
#[must_use]
pub fn label(table: &FeatureTable, t: usize, horizon: usize) -> Option<Label> {
    let segment = table.segment_of(t)?;
    let end_row = t.checked_add(horizon).filter(|end| segment.contains(end))?;
    let [now, then] = [table.close[t], table.close[end_row]];
    Some(Label {
        end_row,
        up: then > now,
        future_return: then / now - 1.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(close: &[f64], first_segment: usize) -> FeatureTable {
        let n = close.len();
        FeatureTable {
            symbol: "A".into(),
            n_features: 1,
            ts_ns: (0..n as i64).collect(),
            close: close.to_vec(),
            labels: Vec::new(),
            rows: vec![0.0; n],
            segments: vec![0..first_segment, first_segment..n],
        }
    }

    #[test]
    fn the_horizon_is_counted_once_from_the_row_itself() {
        let table = table(&[10.0, 20.0, 5.0, 30.0, 1.0], 4);
        assert_eq!(
            label(&table, 1, 1),
            Some(Label {
                end_row: 2,
                up: false,
                future_return: -0.75
            })
        );
        assert_eq!(
            label(&table, 1, 2),
            Some(Label {
                end_row: 3,
                up: true,
                future_return: 0.5
            })
        );
    }

    #[test]
    fn a_tie_is_not_up() {
        let found = label(&table(&[10.0, 10.0, 10.0], 2), 0, 1).unwrap();
        assert!(!found.up);
        assert_eq!(found.future_return, 0.0);
    }

    #[test]
    fn rows_at_the_end_of_a_segment_have_no_label() {
        let table = table(&[1.0, 2.0, 3.0, 4.0, 5.0], 3);
        let labelled: Vec<usize> = (0..6).filter(|&t| label(&table, t, 2).is_some()).collect();
        assert_eq!(labelled, [0]);
        assert_eq!(label(&table, 0, usize::MAX), None);
    }
}
