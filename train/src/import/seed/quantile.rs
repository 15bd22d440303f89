//! TFT quantile v1.1 (seed 003): `{model_state_dict, model_config, feature_mean, feature_std}`.
//!
//! The fusion's tensors carry the prefix `fusion.`; served rows are `(x - mean) / (std + 1e-8)`. The file names neither
//! features nor classes. Features are the standard set `seed-003`; classes have to be named, because training and serving of the
//! source disagree about their order. The quantile head learned the class's index, not a return.

use super::{Finding, Imported, SeedError, valid_schema};
use crate::import::pickle::{TorchFile, Value};
use crate::import::state_dict::StateDict;
use crate::import::torch::config::NetConfig;
use crate::import::torch::families::take_all;
use std::path::Path;
use tickfuse_core::bundle::{Input, Net, Output, OutputKind, Precision, QuantileTftConfig, Scaler, Target};
use tickfuse_core::features::standard_set;

/// Finding: the quantiles are those of a class index.
pub const CLASS_INDEX_QUANTILES: &str = "class-index-quantiles";
/// Finding: the classes' order is not in the file.
pub const CLASS_ORDER: &str = "class-order";

/// Added to the deviations by the source's serving.
const EPSILON: f64 = 1e-8;
const LEVELS: [f64; 3] = [0.1, 0.5, 0.9];
/// Modules of the net that stand inside one called `fusion`.
const FUSION: [&str; 3] = ["static_encoder.", "decoder_lstm.", "enrichment_gate."];
/// Words for the classes in the order of training.
const WORDS: [&[&str]; 3] = [
    &["down", "sell", "short", "bear", "bearish"],
    &["flat", "hold", "neutral"],
    &["up", "buy", "long", "bull", "bullish"],
];

/// What the checkpoint does not say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Names of the classes in the order of the classifier's columns.
    pub classes: Vec<String>,
    /// Names of findings that are accepted.
    pub accept: Vec<String>,
}

/// Reads a checkpoint.
///
/// # Errors
/// [`SeedError`]; [`SeedError::NotAccepted`] for [`CLASS_INDEX_QUANTILES`], and for [`CLASS_ORDER`] where the names given are
/// plainly in another order than training's.
pub fn read(path: &Path, options: &Options, precision: Precision) -> Result<Imported, SeedError> {
    let file = TorchFile::open(path)?;
    let root = file.root();
    let value = SeedError::value(path);
    let state = root.get("model_state_dict").map_err(&value)?;
    let dict = StateDict::from_pickle(&state).map_err(&value)?;
    let config = root.get("model_config").map_err(&value)?;
    let size = |key: &str| config.get(key).and_then(|v| v.as_usize()).map_err(&value);
    let n_classes = size("num_classes")?;
    let findings = findings(&options.classes, n_classes, &options.accept)?;
    let net = QuantileTftConfig {
        lookback: size("sequence_length")?,
        n_hidden: size("hidden_size")?,
        n_heads: size("num_heads")?,
        n_layers: size("num_layers")?,
        n_classes,
        n_quantiles: LEVELS.len(),
    };
    let config = NetConfig {
        name: "quantile_tft".into(),
        bar_interval_ns: None,
        net: Net::QuantileTft(net),
        target: Some(Target {
            horizon: 1,
            label: "class of close[t+1] / close[t] - 1, cut at -1 % and +1 %".into(),
        }),
        inputs: inputs(path, &root, size("input_size")?)?,
        normalizers: Vec::new(),
        outputs: outputs(&options.classes),
    };
    let schema = valid_schema(path, &config, precision, "quantile")?;
    let tensors = take_all(&schema, dict, foreign_name).map_err(SeedError::tensor(path))?;
    Ok(Imported::new(schema, tensors, findings))
}

fn foreign_name(plain: &str) -> String {
    if FUSION.iter().any(|prefix| plain.starts_with(prefix)) {
        return format!("fusion.{plain}");
    }
    plain.into()
}

fn inputs(path: &Path, root: &Value<'_>, n: usize) -> Result<Vec<Input>, SeedError> {
    let value = SeedError::value(path);
    let statistics = |key: &str| {
        let array = root
            .get(key)
            .and_then(|v| v.as_array()?.to_f64())
            .map_err(&value)?;
        if array.len() == n {
            return Ok(array);
        }
        let expected = format!("{n} values, as `model_config.input_size` says");
        Err(SeedError::mismatch(
            path,
            format!("`{key}`"),
            expected,
            array.len(),
        ))
    };
    let (mean, std) = (statistics("feature_mean")?, statistics("feature_std")?);
    let features = standard_set("seed-003").expect("a standard set");
    if features.len() != n {
        let expected = format!("{}, the source's features", features.len());
        return Err(SeedError::mismatch(
            path,
            "`model_config.input_size`",
            expected,
            n,
        ));
    }
    let input = |((feature, mean), std): ((tickfuse_core::features::FeatureDef, f64), f64)| Input {
        feature: Some(feature.op),
        ..Input::real(
            feature.name,
            Scaler {
                center: mean,
                scale: std + EPSILON,
                fitted_ns: None,
            },
        )
    };
    Ok(features.into_iter().zip(mean).zip(std).map(input).collect())
}

fn outputs(classes: &[String]) -> Vec<Output> {
    let indices: Vec<String> = classes
        .iter()
        .enumerate()
        .map(|(i, name)| format!("{i} = {name}"))
        .collect();
    let labels = LEVELS.iter().map(|tau| format!("p{:.0}", 100.0 * tau)).collect();
    let unit = format!("class index ({})", indices.join(", "));
    vec![
        Output::new("class", OutputKind::Softmax, classes.to_vec(), "probability"),
        Output {
            levels: LEVELS.to_vec(),
            ..Output::new("class_index", OutputKind::Quantiles, labels, unit)
        },
    ]
}

fn findings(classes: &[String], n: usize, accept: &[String]) -> Result<Vec<Finding>, SeedError> {
    if classes.is_empty() {
        return Err(SeedError::Classes(
            "the file names no classes, and the source's training (0 = SELL, 1 = HOLD, 2 = BUY) and serving (BUY, SELL, HOLD) \
             disagree about their order: name them in the order of the classifier's columns, which for training's is \
             --classes down,flat,up"
                .into(),
        ));
    }
    if classes.len() != n {
        let found = classes.len();
        return Err(SeedError::Classes(format!(
            "expected {n} names, as `model_config.num_classes` says, found {found}"
        )));
    }
    let given = classes.join(", ");
    let quantiles = Finding::new(
        CLASS_INDEX_QUANTILES,
        "the quantile head was trained on the class's index (0, 1, 2), not on a return: its numbers say nothing about prices, \
         its spread is no risk; imported they are the group `class_index`",
    );
    let order = Finding::new(
        CLASS_ORDER,
        format!(
            "the file names no classes; training wrote 0 = SELL, 1 = HOLD, 2 = BUY, serving read BUY, SELL, HOLD; taken as given: \
             {given}"
        ),
    );
    let accepted = |finding: &Finding| accept.iter().any(|name| name == finding.name);
    if !in_training_order(classes) && !accepted(&order) {
        return Err(SeedError::NotAccepted(order));
    }
    if !accepted(&quantiles) {
        return Err(SeedError::NotAccepted(quantiles));
    }
    Ok(vec![
        quantiles,
        order,
        Finding::new(
            "scaler-shared",
            "one mean and deviation per column for the prices and volumes of all symbols, fitted on training and validation together: \
             symbols of low price look alike to the net",
        ),
        Finding::new(
            "features-assumed",
            "the file states neither features nor their periods: the standard set `seed-003` has the source's names and the customary \
             periods",
        ),
    ])
}

/// No name whose meaning is plain stands in the place of another.
fn in_training_order(classes: &[String]) -> bool {
    let place = |name: &String| {
        let name = name.to_lowercase();
        WORDS.iter().position(|words| words.contains(&name.as_str()))
    };
    classes
        .iter()
        .enumerate()
        .all(|(i, name)| place(name).is_none_or(|place| place == i))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split(',').map(Into::into).collect()
    }

    fn accepted() -> Vec<String> {
        vec![CLASS_INDEX_QUANTILES.into()]
    }

    #[test]
    fn the_order_of_serving_is_refused_unless_accepted() {
        for order in ["buy,sell,hold", "BUY,HOLD,SELL", "up,x,y"] {
            let error = findings(&names(order), 3, &accepted()).unwrap_err();
            assert!(
                matches!(&error, SeedError::NotAccepted(f) if f.name == CLASS_ORDER),
                "{error}"
            );
            let both = [accepted(), vec![CLASS_ORDER.into()]].concat();
            assert!(findings(&names(order), 3, &both).is_ok());
        }
        for order in ["SELL,HOLD,BUY", "down,flat,up", "a,b,c"] {
            assert!(findings(&names(order), 3, &accepted()).is_ok(), "{order}");
        }
    }

    #[test]
    fn quantiles_of_the_class_index_are_refused_unless_accepted() {
        let error = findings(&names("down,flat,up"), 3, &[]).unwrap_err().to_string();
        assert!(error.starts_with("class-index-quantiles: "), "{error}");
        assert!(error.ends_with("--accept class-index-quantiles"), "{error}");
    }

    #[test]
    fn the_unit_of_the_quantiles_is_the_class_index() {
        let outputs = outputs(&names("down,flat,up"));
        assert_eq!(outputs[1].unit, "class index (0 = down, 1 = flat, 2 = up)");
        assert_eq!(outputs[1].labels, ["p10", "p50", "p90"]);
    }

    #[test]
    fn only_the_fusion_has_a_prefix() {
        assert_eq!(
            foreign_name("decoder_lstm.weight_ih_l0"),
            "fusion.decoder_lstm.weight_ih_l0"
        );
        assert_eq!(
            foreign_name("encoder_lstm.weight_ih_l0"),
            "encoder_lstm.weight_ih_l0"
        );
    }
}
