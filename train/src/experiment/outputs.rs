//! From a loss to the outputs of a model file, and from served answers back to what the loss scores.
//!
//! Every column of the head belongs to exactly one part of the loss: a column that nothing trains is refused, since it would be
//! served as noise. The way back undoes the link of each output, so that a model file is scored by the code that scored the fit.

use super::ExperimentError;
use crate::data::label::{LabelKind, Unit};
use crate::data::label_config::LabelColumn;
use crate::losses::Loss;
use crate::losses::gaussian_nll::{Gaussian, GaussianNll, Scale};
use crate::losses::joint::Term;
use crate::losses::pinball::Pinball;
use crate::losses::position::Position;
use crate::losses::sharpe::Sharpe;
use crate::metrics::deviation;
use tickfuse_core::bundle::{
    Net, Normalizer, NormalizerSource, Output, OutputKind, Transform, XtrendForm, XtrendHead,
};

/// Deviation that the core adds to a softplus.
const SOFTPLUS_FLOOR: f64 = 1e-6;

/// The outputs of a net trained by `loss` on `labels`, column after column; what was trained in units of a deviation goes back
/// through a normalizer.
///
/// # Errors
/// A column that no part of the loss reads, or reads only together with another than its neighbour.
pub(super) fn of(
    loss: &Loss,
    labels: &[LabelColumn],
    units: &[Unit],
    net: &Net,
) -> Result<Vec<Output>, ExperimentError> {
    let mut outputs: Vec<Output> = Vec::new();
    let mut column = 0;
    while column < net.n_columns() {
        let found = from_gaussian(net, column).or_else(|| {
            let mut parts = loss.parts().into_iter();
            parts.find_map(|(_, part)| output(part, labels, units, column))
        });
        let output = found.ok_or_else(|| untrained(loss, column))?;
        column += output.labels.len();
        outputs.push(output);
    }
    check_floor(loss)?;
    Ok(outputs)
}

fn untrained(loss: &Loss, column: usize) -> ExperimentError {
    ExperimentError::Net(format!(
        "column {column} of the answer: expected a part of the loss that begins there, found {} over the columns {:?}",
        loss.name(),
        loss.columns()
    ))
}

/// The position that seed 002's net makes of its Gaussian.
fn from_gaussian(net: &Net, column: usize) -> Option<Output> {
    let Net::Xtrend(config) = net else { return None };
    let is_derived = config.form == XtrendForm::Shared && config.head == XtrendHead::Gaussian && column == 0;
    is_derived.then(|| position(OutputKind::Linear))
}

fn position(kind: OutputKind) -> Output {
    Output::new("position", kind, vec!["position".into()], "position")
}

/// The output of a part that begins at `column`.
fn output(part: &Loss, labels: &[LabelColumn], units: &[Unit], column: usize) -> Option<Output> {
    let found = plain_output(part, labels, column)?;
    let label = match part {
        Loss::Pinball(part) => part.label,
        Loss::GaussianNll(part) => part.label,
        _ => return Some(found),
    };
    let normalizer = (units[label] != Unit::IDENTITY).then(|| normalizer_name(label));
    Some(Output { normalizer, ..found })
}

fn normalizer_name(label: usize) -> String {
    format!("label_{label}")
}

/// The normalizers of the label columns that were trained in units of their own.
pub(super) fn normalizers(units: &[Unit]) -> Vec<Normalizer> {
    let scaled = units
        .iter()
        .enumerate()
        .filter(|(_, unit)| **unit != Unit::IDENTITY);
    let one = |(label, &Unit { center, scale }): (usize, &Unit)| Normalizer {
        name: normalizer_name(label),
        source: NormalizerSource::Fixed { center, scale },
        transform: Transform::Identity,
    };
    scaled.map(one).collect()
}

/// Units in which label columns are trained: a return that only quantiles or Gaussians are asked about is trained in units of its
/// deviation, since a fresh head answers numbers near one and returns are far smaller; a number of the file, whose zero means
/// nothing, also from its mean. Everything else stays as it is.
pub(super) fn label_units(loss: &Loss, kinds: &[LabelKind], column: impl Fn(usize) -> Vec<f64>) -> Vec<Unit> {
    let reads = |part: &Loss, label| part.labels().iter().any(|(read, _)| *read == label);
    let parts = loss.parts();
    let unit = |(label, kind): (usize, &LabelKind)| {
        let is_number = matches!(
            kind,
            LabelKind::Return | LabelKind::ScaledReturn | LabelKind::Number
        );
        let mut readers = parts.iter().filter(|(_, part)| reads(part, label)).peekable();
        let is_read = readers.peek().is_some();
        let of_values = |part: &Loss| matches!(part, Loss::Pinball(_) | Loss::GaussianNll(_));
        if !is_number || !is_read || !readers.all(|(_, part)| of_values(part)) {
            return Unit::IDENTITY;
        }
        let values = column(label);
        let scale = Some(deviation(&values))
            .filter(|found| *found > 0.0)
            .unwrap_or(1.0);
        let center = match kind {
            LabelKind::Number => values.iter().sum::<f64>() / values.len() as f64,
            _ => 0.0,
        };
        Unit { center, scale }
    };
    kinds.iter().enumerate().map(unit).collect()
}

fn plain_output(part: &Loss, labels: &[LabelColumn], column: usize) -> Option<Output> {
    match part {
        Loss::Bce(_) => {
            let names = (0..labels.len()).map(|i| if i == 0 { "up".into() } else { format!("up_{i}") });
            let all = Output::new("p_up", OutputKind::Sigmoid, names.collect(), "probability");
            (column == 0).then_some(all)
        }
        Loss::CrossEntropy(part) => (part.column == column).then(|| {
            let classes = part.classes.clone();
            Output::new("class", OutputKind::Softmax, classes, "probability")
        }),
        Loss::Pinball(part) => (part.column == column).then(|| quantiles(part, labels)),
        Loss::GaussianNll(part) => gaussian(part, labels, column),
        Loss::Sharpe(part) => match part.position {
            Position::Tanh { column: at } => (at == column).then(|| position(OutputKind::Tanh)),
            Position::Linear { column: at } => (at == column).then(|| position(OutputKind::Linear)),
            Position::Gaussian { .. } => None,
        },
        Loss::Joint { .. } => None,
    }
}

fn quantiles(part: &Pinball, labels: &[LabelColumn]) -> Output {
    let unit = unit(labels, part.label);
    let names = part.levels.iter().map(|tau| format!("q{tau}")).collect();
    Output {
        levels: part.levels.clone(),
        ..Output::new(
            name(labels, part.label).unwrap_or(unit),
            OutputKind::SortedQuantiles,
            names,
            unit,
        )
    }
}

fn gaussian(part: &GaussianNll, labels: &[LabelColumn], column: usize) -> Option<Output> {
    let Gaussian { mean, deviation, .. } = part.gaussian;
    let kind = match part.gaussian.scale {
        Scale::Log => OutputKind::GaussianLogSigma,
        Scale::Softplus => OutputKind::GaussianSoftplus,
    };
    let names = vec!["mean".into(), "deviation".into()];
    (mean == column && deviation == column + 1).then(|| {
        let name = name(labels, part.label).unwrap_or("gaussian");
        Output::new(name, kind, names, unit(labels, part.label))
    })
}

/// The name of a column of the file.
fn name(labels: &[LabelColumn], label: usize) -> Option<&str> {
    labels.get(label)?.of_file()
}

fn unit(labels: &[LabelColumn], label: usize) -> &str {
    match labels.get(label) {
        Some(LabelColumn::Column { unit, .. }) => unit,
        Some(LabelColumn::Return { log: true }) => "log_return",
        Some(LabelColumn::ScaledReturn { .. }) => "scaled_return",
        _ => "return",
    }
}

/// The core adds a fixed floor to a softplus; a loss with another would be served as a different function.
fn check_floor(loss: &Loss) -> Result<(), ExperimentError> {
    let wrong = |(_, part): &(f64, &Loss)| match part {
        Loss::GaussianNll(part) if part.gaussian.scale == Scale::Softplus => {
            (part.gaussian.floor != SOFTPLUS_FLOOR).then_some(part.gaussian.floor)
        }
        _ => None,
    };
    match loss.parts().iter().find_map(wrong) {
        None => Ok(()),
        Some(found) => Err(ExperimentError::Net(format!(
            "gaussian.floor: expected {SOFTPLUS_FLOOR} with a softplus, as it is served, found {found}"
        ))),
    }
}

/// What a target is, in words.
#[must_use]
pub(super) fn describe(labels: &[LabelColumn], horizon: usize) -> String {
    let one = |column: &LabelColumn| match column.kind() {
        _ if column.of_file().is_some() => {
            let name = column.of_file().unwrap_or_default();
            format!("`{name}` of the file, which looks {horizon} bars ahead at most")
        }
        LabelKind::Direction => format!("close[t+{horizon}] > close[t]"),
        LabelKind::Return if matches!(column, LabelColumn::Return { log: true }) => {
            format!("ln(close[t+{horizon}] / close[t])")
        }
        LabelKind::Return => format!("close[t+{horizon}] / close[t] - 1"),
        LabelKind::ScaledReturn => format!("close[t+{horizon}] / close[t] - 1 in target volatilities"),
        other => format!("{} over {horizon} bars", other.describe()),
    };
    labels.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// The same loss on answers as [`unlinked`] gives them.
#[must_use]
pub(super) fn served(loss: &Loss, net: &Net) -> Loss {
    let log = |gaussian: Gaussian| Gaussian {
        scale: Scale::Log,
        ..gaussian
    };
    match loss {
        Loss::GaussianNll(part) => Loss::GaussianNll(GaussianNll {
            gaussian: log(part.gaussian),
            ..*part
        }),
        Loss::Sharpe(part) => Loss::Sharpe(Sharpe {
            position: match part.position {
                Position::Gaussian { .. } if from_gaussian(net, 0).is_some() => {
                    Position::Linear { column: 0 }
                }
                Position::Gaussian { gaussian } => Position::Gaussian {
                    gaussian: log(gaussian),
                },
                Position::Tanh { column } | Position::Linear { column } => Position::Linear { column },
            },
            burn_in: 0,
            ..*part
        }),
        Loss::Joint { terms } => Loss::Joint {
            terms: terms
                .iter()
                .map(|term| Term {
                    weight: term.weight,
                    loss: served(&term.loss, net),
                })
                .collect(),
        },
        other => other.clone(),
    }
}

/// One step's served answer as [`served`] reads it: logarithms of probabilities and deviations, the rest as it is.
pub(super) fn unlinked(outputs: &[Output], answer: &[f32], into: &mut Vec<f64>) {
    let ln = |p: f32| f64::from(p.max(f32::MIN_POSITIVE)).ln();
    let logit = |p: f32| {
        let p = f64::from(p).clamp(1e-15, 1.0 - 1e-15);
        (p / (1.0 - p)).ln()
    };
    let mut rest = answer;
    for output in outputs {
        let (own, others) = rest.split_at(output.labels.len());
        rest = others;
        match output.kind {
            OutputKind::Softmax => into.extend(own.iter().map(|p| ln(*p))),
            OutputKind::Sigmoid => into.extend(own.iter().map(|p| logit(*p))),
            OutputKind::GaussianLogSigma | OutputKind::GaussianSoftplus => {
                into.extend([f64::from(own[0]), ln(own[1])]);
            }
            _ => into.extend(own.iter().map(|v| f64::from(*v))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tickfuse_core::bundle::QuantileTftConfig;

    const NET: Net = Net::QuantileTft(QuantileTftConfig {
        lookback: 4,
        n_hidden: 8,
        n_heads: 2,
        n_layers: 1,
        n_classes: 3,
        n_quantiles: 2,
    });

    fn loss(text: &str) -> Loss {
        toml::from_str(text).unwrap()
    }

    fn joint() -> Loss {
        loss(
            r#"kind = "joint"
            terms = [
                { weight = 1.0, loss = { kind = "cross_entropy", classes = ["sell", "hold", "buy"] } },
                { weight = 0.5, loss = { kind = "pinball", levels = [0.1, 0.9], column = 3, label = 1 } },
            ]"#,
        )
    }

    fn labels() -> Vec<LabelColumn> {
        #[derive(serde::Deserialize)]
        struct Labels {
            labels: Vec<LabelColumn>,
        }
        let text = r#"labels = [{ kind = "classes", rule = { by = "fixed", threshold = 0.01 } }, { kind = "return", log = true }]"#;
        toml::from_str::<Labels>(text).unwrap().labels
    }

    fn units(scale: f64) -> [Unit; 2] {
        [Unit::IDENTITY, Unit { center: 0.0, scale }]
    }

    #[test]
    fn a_number_of_the_file_is_trained_from_its_mean_and_named_as_it_is() {
        let columns = [LabelColumn::Column {
            name: "spread".into(),
            classes: None,
            unit: "ticks".into(),
        }];
        let loss = loss("kind = \"pinball\"\nlevels = [0.5]");
        let found = label_units(&loss, &[columns[0].kind()], |_| vec![99.0, 101.0]);
        let expected = Unit {
            center: 100.0,
            scale: 1.0,
        };
        assert_eq!(found, [expected]);
        let output = quantiles(&Pinball::new([0.5]), &columns);
        assert_eq!((output.name.as_str(), output.unit.as_str()), ("spread", "ticks"));
    }

    #[test]
    fn classes_and_quantiles_become_two_outputs_with_their_units() {
        let found = of(&joint(), &labels(), &units(0.02), &NET).unwrap();
        let kinds: Vec<_> = found
            .iter()
            .map(|o| (o.kind, o.unit.as_str(), o.labels.len()))
            .collect();
        assert_eq!(
            kinds,
            [
                (OutputKind::Softmax, "probability", 3),
                (OutputKind::SortedQuantiles, "log_return", 2)
            ]
        );
        assert_eq!(found[1].levels, [0.1, 0.9]);
        assert_eq!(found[1].normalizer.as_deref(), Some("label_1"));
        assert_eq!(normalizers(&units(0.02))[0].name, "label_1");
    }

    #[test]
    fn a_return_that_quantiles_alone_read_is_trained_in_units_of_its_deviation() {
        let kinds: Vec<LabelKind> = labels().iter().map(LabelColumn::kind).collect();
        let column = |label| vec![label as f64 * 0.01, -0.01 * label as f64];
        assert_eq!(label_units(&joint(), &kinds, column), units(0.01));
        let sharpe = loss("kind = \"sharpe\"\nlabel = 1\nposition = { map = \"tanh\", column = 0 }");
        assert_eq!(label_units(&sharpe, &kinds, column), [Unit::IDENTITY; 2]);
    }

    #[test]
    fn a_column_that_nothing_trains_is_refused() {
        let classes = loss("kind = \"cross_entropy\"\nclasses = [\"sell\", \"hold\", \"buy\"]");
        let error = of(&classes, &labels(), &[Unit::IDENTITY; 2], &NET)
            .unwrap_err()
            .to_string();
        assert!(error.contains("column 3 of the answer"), "{error}");
    }

    #[test]
    fn links_are_undone_for_scoring() {
        let outputs = of(&joint(), &labels(), &units(0.02), &NET).unwrap();
        let mut row = Vec::new();
        unlinked(&outputs, &[0.25, 0.25, 0.5, -0.1, 0.2], &mut row);
        assert!((row[2] - row[0] - 2f64.ln()).abs() < 1e-7);
        assert_eq!(row[3..], [f64::from(-0.1f32), f64::from(0.2f32)]);
        let gaussian = Output::new(
            "g",
            OutputKind::GaussianSoftplus,
            vec!["m".into(), "s".into()],
            "return",
        );
        row.clear();
        unlinked(&[gaussian], &[0.5, 0.01], &mut row);
        assert!((row[1] - 0.01f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn a_softplus_with_another_floor_than_the_served_one_is_refused() {
        let text = "kind = \"gaussian_nll\"\ngaussian = { mean = 0, deviation = 1, scale = \"softplus\", floor = 0.1 }";
        let error = check_floor(&loss(text)).unwrap_err().to_string();
        assert!(error.contains("floor"), "{error}");
    }
}
