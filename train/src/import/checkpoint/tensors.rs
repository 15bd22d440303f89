//! The state dict: every tensor once, aliases checked and dropped, the output layers of several targets joined.
//!
//! The modules of a TemporalFusionTransformer appear under several names: the prescalers again in each variable
//! selection, the shared variable networks in the encoder's and the decoder's, the gates after the LSTM for both halves.

use super::plain::{refused, text};
use super::shapes::SELECTIONS;
use crate::import::pickle::{Tensor, Value, ValueError};
use std::collections::{BTreeMap, BTreeSet};
use tickfuse_core::plain::{PlainTensor, PlainTensors};

/// Tensors by name, and the name kept for each alias.
pub(super) type Read = (PlainTensors, BTreeMap<String, String>);

/// Reads the state dict.
pub(super) fn read(state: &Value<'_>) -> Result<Read, ValueError> {
    let entries = state.entries()?;
    let named: BTreeMap<String, &Value<'_>> = entries
        .iter()
        .map(|(key, value)| Ok((text(key)?, value)))
        .collect::<Result<_, ValueError>>()?;
    let shared = shared_variables(named.keys());
    let (mut tensors, mut aliases) = Read::default();
    for (name, value) in &named {
        let kept = kept_name(name, &shared);
        if kept == *name {
            tensors.insert(kept, plain_tensor(value)?);
            continue;
        }
        check_alias(value, &kept, named.get(&kept).copied())?;
        aliases.insert(name.clone(), kept);
    }
    join_outputs(state, &mut tensors)?;
    Ok((tensors, aliases))
}

fn plain_tensor(value: &Value<'_>) -> Result<PlainTensor, ValueError> {
    let tensor = value.as_tensor()?;
    if !tensor.dtype().is_float() || tensor.n_elements() == 0 {
        return Err(value.error("a tensor of floats"));
    }
    Ok(PlainTensor {
        shape: tensor.shape().to_vec(),
        data: tensor.to_f32(),
    })
}

fn check_alias(value: &Value<'_>, kept: &str, original: Option<&Value<'_>>) -> Result<(), ValueError> {
    let refuse = |found: &str| {
        refused(
            value,
            format!("the values of {kept}, of which it is an alias"),
            found,
        )
    };
    let original = original.ok_or_else(|| refuse("an alias without that tensor"))?;
    if are_equal(value.as_tensor()?, original.as_tensor()?) {
        return Ok(());
    }
    Err(refuse("others"))
}

fn are_equal(a: &Tensor, b: &Tensor) -> bool {
    let same_values = || (a.dtype(), a.shape()) == (b.dtype(), b.shape()) && a.to_f64() == b.to_f64();
    a.is_alias_of(b) || same_values()
}

/// Variables whose networks the encoder's and the decoder's selection share.
fn shared_variables<'a>(names: impl Iterator<Item = &'a String>) -> BTreeSet<&'a str> {
    let rests = names.filter_map(|name| name.strip_prefix("shared_single_variable_grns."));
    rests.filter_map(|rest| Some(rest.split_once('.')?.0)).collect()
}

/// The name under which the tensor `name` stands in the network's own parts.
fn kept_name(name: &str, shared: &BTreeSet<&str>) -> String {
    for part in ["post_lstm_gate", "post_lstm_add_norm"] {
        if let Some(rest) = name.strip_prefix(part).and_then(|r| r.strip_prefix("_decoder.")) {
            return format!("{part}_encoder.{rest}");
        }
    }
    let Some((selection, rest)) = name.split_once('.').filter(|(s, _)| SELECTIONS.contains(s)) else {
        return name.to_owned();
    };
    let variable = rest
        .strip_prefix("single_variable_grns.")
        .and_then(|rest| rest.split('.').next());
    let is_shared = variable.is_some_and(|variable| shared.contains(variable));
    match is_shared && selection != SELECTIONS[0] {
        true => format!("shared_{rest}"),
        false if rest.starts_with("prescalers.") => rest.to_owned(),
        false => name.to_owned(),
    }
}

/// `output_layer.0.weight`, `output_layer.1.weight`, ... one below the other as `output_layer.weight`.
fn join_outputs(state: &Value<'_>, tensors: &mut PlainTensors) -> Result<(), ValueError> {
    let n_targets = tensors.keys().filter(|name| is_target_weight(name)).count();
    for part in ["weight", "bias"] {
        let names = (0..n_targets).map(|i| format!("output_layer.{i}.{part}"));
        let joined = names.map(|name| match tensors.remove(&name) {
            Some(tensor) if !tensor.shape.is_empty() => Ok((name, tensor)),
            Some(_) => Err(refused(state, format!("rows of {name}"), "a scalar")),
            None => Err(refused(state, format!("a tensor {name}"), "none")),
        });
        let joined = joined.reduce(|above, below| below_each_other(state, above?, below?));
        if let Some(joined) = joined {
            tensors.insert(format!("output_layer.{part}"), joined?.1);
        }
    }
    Ok(())
}

fn is_target_weight(name: &str) -> bool {
    let index = name
        .strip_prefix("output_layer.")
        .and_then(|rest| rest.strip_suffix(".weight"));
    index.is_some_and(|index| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()))
}

type Named = (String, PlainTensor);

fn below_each_other(state: &Value<'_>, above: Named, below: Named) -> Result<Named, ValueError> {
    let ((name, mut above), (other, below)) = (above, below);
    if above.shape[1..] != below.shape[1..] {
        let expected = format!(
            "rows of {other} as wide as those of {name}, {:?}",
            &above.shape[1..]
        );
        return Err(refused(state, expected, format!("{:?}", &below.shape[1..])));
    }
    above.shape[0] += below.shape[0];
    above.data.extend(below.data);
    Ok((name, above))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_shared_modules_become_the_one_that_is_kept() {
        let names = [
            ("prescalers.ret.weight", "prescalers.ret.weight"),
            (
                "encoder_variable_selection.prescalers.ret.weight",
                "prescalers.ret.weight",
            ),
            (
                "static_variable_selection.prescalers.cap.bias",
                "prescalers.cap.bias",
            ),
            (
                "decoder_variable_selection.single_variable_grns.ret.fc1.bias",
                "shared_single_variable_grns.ret.fc1.bias",
            ),
            (
                "decoder_variable_selection.single_variable_grns.return.fc1.bias",
                "decoder_variable_selection.single_variable_grns.return.fc1.bias",
            ),
            (
                "static_variable_selection.single_variable_grns.ret.fc1.bias",
                "static_variable_selection.single_variable_grns.ret.fc1.bias",
            ),
            ("post_lstm_gate_decoder.fc.bias", "post_lstm_gate_encoder.fc.bias"),
            (
                "post_lstm_add_norm_decoder.norm.bias",
                "post_lstm_add_norm_encoder.norm.bias",
            ),
            ("output_layer.bias", "output_layer.bias"),
        ];
        let shared = ["ret"].into();
        for (name, kept) in names {
            assert_eq!(kept_name(name, &shared), kept);
        }
    }

    #[test]
    fn only_numbered_output_layers_are_joined() {
        assert!(is_target_weight("output_layer.12.weight"));
        for name in [
            "output_layer.weight",
            "output_layer..weight",
            "output_layer.a.weight",
            "output_layer.1.bias",
        ] {
            assert!(!is_target_weight(name), "{name}");
        }
    }
}
