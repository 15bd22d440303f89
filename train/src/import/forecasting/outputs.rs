//! The groups of outputs: what the loss made of the network's last columns, target by target.

use super::agreement::targets;
use super::description::{Description, Loss, Scaling};
use super::error::{ForecastingError, value};
use super::labels::categories;
use tickfuse_core::bundle::{Output, OutputKind};

/// One group per target; `normalizer` names what undoes the scaling of a target.
pub(super) fn outputs(
    description: &Description,
    mut normalizer: impl FnMut(&str) -> Result<String, ForecastingError>,
) -> Result<Vec<Output>, ForecastingError> {
    let targets = targets(description);
    let (key, losses) = match &description.loss {
        Loss::MultiLoss { metrics, weights } if weights.len() == metrics.len() => {
            ("loss.metrics", metrics.as_slice())
        }
        Loss::MultiLoss { metrics, weights } => {
            return Err(value(
                "loss.weights",
                format!("{} numbers", metrics.len()),
                weights.len(),
            ));
        }
        one => ("loss", std::slice::from_ref(one)),
    };
    if losses.len() != targets.len() {
        let expected = format!("one loss for each of the targets {}", targets.join(", "));
        return Err(value(key, expected, losses.len()));
    }
    let mut outputs = Vec::new();
    for (target, loss) in targets.iter().zip(losses) {
        outputs.push(output(description, key, target, loss, &mut normalizer)?);
    }
    let n: usize = outputs.iter().map(|o: &Output| o.labels.len()).sum();
    if n != description.net.n_columns() {
        return Err(value(
            "net.n_outputs",
            format!("{n}, as the loss has"),
            description.net.n_columns(),
        ));
    }
    Ok(outputs)
}

fn output(
    description: &Description,
    key: &str,
    target: &str,
    loss: &Loss,
    mut normalizer: impl FnMut(&str) -> Result<String, ForecastingError>,
) -> Result<Output, ForecastingError> {
    let place = format!("preprocessing.normalizers.{target}");
    let scaling = description.preprocessing.normalizers.get(target);
    let group = |kind, labels| Output::new(target, kind, labels, target);
    let mut undone = |output: Output| {
        Ok(Output {
            normalizer: Some(normalizer(target)?),
            ..output
        })
    };
    match (loss, scaling) {
        (_, None) => Err(value(place, "a normaliser of the target", "none")),
        (Loss::CrossEntropy {}, Some(Scaling::NaNLabelEncoder(classes))) => Ok(Output {
            unit: "probability".into(),
            ..group(OutputKind::Softmax, categories(&place, classes)?.labels)
        }),
        (Loss::CrossEntropy {}, Some(_)) => Err(value(
            place,
            "NaNLabelEncoder, as of CrossEntropy",
            "another class",
        )),
        (_, Some(Scaling::NaNLabelEncoder(_))) => Err(value(
            key,
            "CrossEntropy, as of a target of classes",
            "another loss",
        )),
        (Loss::MultiLoss { .. }, _) => Err(value(key, "the loss of one target", "MultiLoss")),
        (Loss::QuantileLoss { quantiles }, _) => undone(Output {
            levels: quantiles.clone(),
            ..group(OutputKind::Quantiles, quantiles.iter().map(level).collect())
        }),
        (Loss::Mae {} | Loss::Rmse {} | Loss::Smape {} | Loss::Mape {}, _) => {
            undone(group(OutputKind::Linear, vec![target.into()]))
        }
    }
}

/// `p10` of 0.1, `p2.5` of 0.025.
fn level(tau: &f64) -> String {
    let percent = (tau * 1e8).round() / 1e6;
    format!("p{percent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_named_in_percent() {
        let named = [0.02, 0.1, 0.5, 0.975, 0.98, 0.005].map(|tau| level(&tau));
        assert_eq!(named, ["p2", "p10", "p50", "p97.5", "p98", "p0.5"]);
    }
}
