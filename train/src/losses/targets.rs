//! Whether labels are what a loss takes them for: a quantile, a Gaussian or a position is asked about a return, never about the
//! number of a class; classes have the names, in the order, that the labels were made with.

use super::Loss;
use crate::data::label::LabelKind;

/// Whole numbers up to which values are taken for class numbers.
const MOST_CLASSES: f64 = 20.0;

/// Labels that a loss misreads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A number is predicted from a label that is none.
    #[error(
        "{loss}: label {label}: expected a return, found {found}: a quantile or deviation of it means nothing"
    )]
    NotANumber {
        /// Name of the loss.
        loss: &'static str,
        /// Label column.
        label: usize,
        /// What the column holds.
        found: String,
    },
    /// Classes are predicted from a label that is no class.
    #[error("{loss}: label {label}: expected classes, found {found}")]
    NotClasses {
        /// Name of the loss.
        loss: &'static str,
        /// Label column.
        label: usize,
        /// What the column holds.
        found: String,
    },
    /// Names or order of the classes differ.
    #[error(
        "{loss}: label {label}: expected the classes {expected:?} of the labels, in their order, found {found:?}"
    )]
    ClassNames {
        /// Name of the loss.
        loss: &'static str,
        /// Label column.
        label: usize,
        /// Names of the labels.
        expected: Vec<String>,
        /// Names of the loss.
        found: Vec<String>,
    },
    /// The cost of turnover reads something else than volatilities.
    #[error("{loss}: label {label}: expected volatilities, found {found}")]
    NotVolatility {
        /// Name of the loss.
        loss: &'static str,
        /// Label column.
        label: usize,
        /// What the column holds.
        found: String,
    },
    /// The loss reads a column that the labels do not have.
    #[error("{loss}: label {label}: there are {n_labels}")]
    Absent {
        /// Name of the loss.
        loss: &'static str,
        /// Label column.
        label: usize,
        /// Label columns.
        n_labels: usize,
    },
    /// Every value of a label that should be a return is a small whole number.
    #[error(
        "{loss}: label {label}: expected returns, found only the whole numbers {least} to {largest}: the number of a class?"
    )]
    LooksLikeClasses {
        /// Name of the loss.
        loss: &'static str,
        /// Label column.
        label: usize,
        /// Smallest value.
        least: i64,
        /// Largest value.
        largest: i64,
    },
}

/// Holds the columns a loss reads against what they were made as.
///
/// # Errors
/// The first column with another meaning.
pub fn check(loss: &Loss, labels: &[LabelKind]) -> Result<(), TargetError> {
    loss.parts()
        .into_iter()
        .try_for_each(|(_, part)| check_part(part, labels))
}

fn check_part(part: &Loss, labels: &[LabelKind]) -> Result<(), TargetError> {
    let loss = part.name();
    let kind = |label: usize| {
        let n_labels = labels.len();
        labels.get(label).ok_or(TargetError::Absent {
            loss,
            label,
            n_labels,
        })
    };
    let is_return = |kind: &LabelKind| matches!(kind, LabelKind::Return | LabelKind::ScaledReturn);
    let number = |label: usize| match kind(label)? {
        found if is_return(found) => Ok(()),
        LabelKind::Number if !matches!(part, Loss::Sharpe(_)) => Ok(()),
        other => Err(TargetError::NotANumber {
            loss,
            label,
            found: other.describe(),
        }),
    };
    match part {
        Loss::CrossEntropy(part) => match kind(part.label)? {
            LabelKind::Classes(names) if *names == part.classes => Ok(()),
            LabelKind::Classes(names) => Err(TargetError::ClassNames {
                loss,
                label: part.label,
                expected: names.clone(),
                found: part.classes.clone(),
            }),
            other => Err(TargetError::NotClasses {
                loss,
                label: part.label,
                found: other.describe(),
            }),
        },
        Loss::Pinball(part) => number(part.label),
        Loss::GaussianNll(part) => number(part.label),
        Loss::Sharpe(part) => {
            number(part.label)?;
            let Some(cost) = &part.cost else { return Ok(()) };
            match kind(cost.volatility)? {
                LabelKind::Volatility => Ok(()),
                other => Err(TargetError::NotVolatility {
                    loss,
                    label: cost.volatility,
                    found: other.describe(),
                }),
            }
        }
        Loss::Bce(_) => (0..labels.len()).try_for_each(|label| match kind(label)? {
            LabelKind::Direction => Ok(()),
            other => Err(TargetError::NotClasses {
                loss,
                label,
                found: other.describe(),
            }),
        }),
        Loss::Joint { .. } => Ok(()),
    }
}

/// Looks at the labels themselves: a column of returns that holds several small whole numbers and nothing else is refused.
///
/// # Errors
/// The first such column.
pub fn check_values(loss: &Loss, label: impl Fn(usize) -> Vec<f64>) -> Result<(), TargetError> {
    loss.parts().into_iter().try_for_each(|(_, part)| {
        let column = match part {
            Loss::Pinball(part) => part.label,
            Loss::GaussianNll(part) => part.label,
            Loss::Sharpe(part) => part.label,
            Loss::Bce(_) | Loss::CrossEntropy(_) | Loss::Joint { .. } => return Ok(()),
        };
        match class_numbers(&label(column)) {
            Some([least, largest]) => Err(TargetError::LooksLikeClasses {
                loss: part.name(),
                label: column,
                least,
                largest,
            }),
            None => Ok(()),
        }
    })
}

/// Smallest and largest value, when all are whole numbers from 0 to 20 and not all the same.
fn class_numbers(values: &[f64]) -> Option<[i64; 2]> {
    let whole = |y: &f64| (0.0..=MOST_CLASSES).contains(y) && y.fract() == 0.0;
    if !values.iter().all(whole) {
        return None;
    }
    let [least, largest] = values
        .iter()
        .fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], y| {
            [a.min(*y), b.max(*y)]
        });
    (least < largest).then_some([least as i64, largest as i64])
}

#[cfg(test)]
mod tests {
    use super::super::cross_entropy::CrossEntropy;
    use super::super::pinball::Pinball;
    use super::super::position::Position;
    use super::super::sharpe::{Cost, Sharpe};
    use super::*;

    fn classes() -> LabelKind {
        LabelKind::Classes(["sell", "hold", "buy"].map(str::to_owned).to_vec())
    }

    #[test]
    fn quantiles_of_class_numbers_are_refused_by_what_was_made_and_by_what_is_there() {
        let loss = Loss::Pinball(Pinball::new([0.1, 0.5, 0.9]));
        let error = check(&loss, &[classes()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "pinball: label 0: expected a return, found the classes sell, hold, buy: a quantile or deviation of it means nothing"
        );
        assert_eq!(check(&loss, &[LabelKind::Return]), Ok(()));
        let found = check_values(&loss, |_| vec![1.0, 0.0, 2.0, 1.0]).unwrap_err();
        assert_eq!(
            found,
            TargetError::LooksLikeClasses {
                loss: "pinball",
                label: 0,
                least: 0,
                largest: 2
            }
        );
        assert_eq!(check_values(&loss, |_| vec![1.0, 0.01, 2.0]), Ok(()));
        assert_eq!(
            check_values(&loss, |_| vec![0.0; 4]),
            Ok(()),
            "a market that stands still has returns of zero"
        );
        assert_eq!(check_values(&loss, |_| vec![-1.0, 2.0]), Ok(()));
    }

    #[test]
    fn names_and_order_of_classes_have_to_be_those_of_the_labels() {
        let of = |names: [&str; 3]| check(&Loss::CrossEntropy(CrossEntropy::new(names)), &[classes()]);
        assert_eq!(of(["sell", "hold", "buy"]), Ok(()));
        assert!(matches!(
            of(["buy", "sell", "hold"]),
            Err(TargetError::ClassNames { label: 0, .. })
        ));
        let direction = check(
            &Loss::CrossEntropy(CrossEntropy::new(["a", "b"])),
            &[LabelKind::Direction],
        );
        assert!(matches!(direction, Err(TargetError::NotClasses { .. })));
    }

    #[test]
    fn every_part_of_a_sum_is_held_against_its_own_column() {
        let sum = |label| {
            Loss::joint([
                (
                    1.0,
                    Loss::CrossEntropy(CrossEntropy::new(["sell", "hold", "buy"])),
                ),
                (
                    0.5,
                    Loss::Pinball(Pinball {
                        column: 3,
                        label,
                        ..Pinball::new([0.5])
                    }),
                ),
            ])
        };
        let labels = [classes(), LabelKind::Return];
        assert_eq!(check(&sum(1), &labels), Ok(()));
        assert!(matches!(
            check(&sum(0), &labels),
            Err(TargetError::NotANumber { label: 0, .. })
        ));
        assert!(matches!(
            check(&sum(2), &labels),
            Err(TargetError::Absent {
                label: 2,
                n_labels: 2,
                ..
            })
        ));
    }

    #[test]
    fn positions_earn_returns_and_pay_by_volatility() {
        let cost = Some(Cost {
            rate: 1e-3,
            target_volatility: 0.01,
            volatility: 1,
        });
        let loss = Loss::Sharpe(Sharpe {
            cost,
            ..Sharpe::new(Position::Tanh { column: 0 })
        });
        assert_eq!(
            check(&loss, &[LabelKind::ScaledReturn, LabelKind::Volatility]),
            Ok(())
        );
        let swapped = check(&loss, &[LabelKind::ScaledReturn, LabelKind::Return]);
        assert!(matches!(
            swapped,
            Err(TargetError::NotVolatility { label: 1, .. })
        ));
        assert!(check(&loss, &[LabelKind::Direction, LabelKind::Volatility]).is_err());
        assert_eq!(check(&Loss::default(), &[LabelKind::Direction]), Ok(()));
        assert!(check(&Loss::default(), &[LabelKind::Return]).is_err());
    }
}
