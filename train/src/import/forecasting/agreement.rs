//! The sections of a description say some things twice; here they must agree.

use super::description::{Description, OneOrMany};
use super::error::{ForecastingError, value};
use std::fmt::Debug;
use tickfuse_core::bundle::{MaskRule, Net, TftConfig, TftRules, Variable};

/// A masked logit this far below the others weighs exactly nothing.
const MASKED: f64 = -1000.0;

/// The network, once everything said about it twice is said alike.
pub(super) fn network(description: &Description) -> Result<&TftConfig, ForecastingError> {
    let Net::Tft(net) = &description.net else {
        return Err(value("net.family", "`tft`", "another one"));
    };
    rules(net)?;
    sizes(description, net)?;
    variables(description, net)?;
    mask_bias(description)?;
    Ok(net)
}

fn agree<T: PartialEq + Debug>(key: &str, expected: &T, found: &T) -> Result<(), ForecastingError> {
    if expected == found {
        return Ok(());
    }
    Err(value(
        key,
        format!("{expected:?}, as elsewhere in the description"),
        format!("{found:?}"),
    ))
}

/// The library has one form, but for two switches.
fn rules(net: &TftConfig) -> Result<(), ForecastingError> {
    let TftRules {
        mask,
        share_variable_networks,
        empty_encoder,
        ..
    } = net.rules;
    let expected = TftRules {
        mask,
        share_variable_networks,
        empty_encoder,
        ..TftRules::PYTORCH_FORECASTING
    };
    agree("net.rules", &expected, &net.rules)?;
    if mask == MaskRule::CausalSelf {
        return Err(value("net.rules.mask", "causal_strict or open", "causal_self"));
    }
    Ok(())
}

fn sizes(description: &Description, net: &TftConfig) -> Result<(), ForecastingError> {
    let (hyper, data) = (&description.hyper_parameters, &description.preprocessing);
    let sizes = [
        ("hyper_parameters.hidden_size", net.n_hidden, hyper.hidden_size),
        ("hyper_parameters.lstm_layers", net.n_layers, hyper.lstm_layers),
        (
            "hyper_parameters.attention_head_size",
            net.n_heads,
            hyper.attention_head_size,
        ),
        (
            "hyper_parameters.max_encoder_length",
            net.lookback,
            hyper.max_encoder_length,
        ),
        (
            "preprocessing.max_encoder_length",
            net.lookback,
            data.max_encoder_length,
        ),
        (
            "preprocessing.max_prediction_length",
            net.n_ahead,
            data.max_prediction_length,
        ),
        (
            "hyper_parameters.output_size",
            net.n_outputs,
            hyper.output_size.as_slice().iter().sum(),
        ),
    ];
    for (key, expected, found) in sizes {
        agree(key, &expected, &found)?;
    }
    agree(
        "hyper_parameters.causal_attention",
        &(net.rules.mask == MaskRule::CausalStrict),
        &hyper.causal_attention,
    )?;
    agree(
        "hyper_parameters.share_single_variable_networks",
        &net.rules.share_variable_networks,
        &hyper.share_single_variable_networks,
    )
}

fn variables(description: &Description, net: &TftConfig) -> Result<(), ForecastingError> {
    let (hyper, data) = (&description.hyper_parameters, &description.preprocessing);
    agree("preprocessing.reals", &hyper.x_reals, &data.reals)?;
    agree(
        "preprocessing.categoricals",
        &hyper.x_categoricals,
        &data.categoricals,
    )?;
    agree("preprocessing.bags", &hyper.categorical_groups, &data.bags)?;
    let ordered = [
        (
            "net.static_variables",
            &hyper.static_categoricals,
            &hyper.static_reals,
            &net.static_variables,
        ),
        (
            "net.encoder_variables",
            &hyper.time_varying_categoricals_encoder,
            &hyper.time_varying_reals_encoder,
            &net.encoder_variables,
        ),
        (
            "net.decoder_variables",
            &hyper.time_varying_categoricals_decoder,
            &hyper.time_varying_reals_decoder,
            &net.decoder_variables,
        ),
    ];
    for (key, categoricals, reals, variables) in ordered {
        let expected: Vec<&String> = categoricals.iter().chain(reals).collect();
        agree(key, &expected, &variables.iter().map(|v| &v.name).collect())?;
        for variable in variables {
            columns(description, key, variable, categoricals)?;
        }
    }
    Ok(())
}

/// The columns of a variable: its own, or those of its bag.
fn columns(
    description: &Description,
    key: &str,
    variable: &Variable,
    categoricals: &[String],
) -> Result<(), ForecastingError> {
    let own = vec![variable.name.clone()];
    let data = &description.preprocessing;
    let bag = data.bags.get(&variable.name);
    let key = format!("{key}.{}", variable.name);
    agree(&format!("{key}.columns"), bag.unwrap_or(&own), &variable.columns)?;
    agree(
        &format!("{key}.table"),
        &bag.map(|_| variable.name.as_str()),
        &variable.table.as_deref(),
    )?;
    let is_categorical = categoricals.contains(&variable.name);
    if is_categorical != variable.is_categorical() {
        return Err(value(
            format!("{key}.n_categories"),
            if is_categorical { "a number" } else { "none" },
            format!("{:?}", variable.n_categories),
        ));
    }
    let listed = if is_categorical {
        &data.categoricals
    } else {
        &data.reals
    };
    match variable.columns.iter().find(|c| !listed.contains(c)) {
        Some(column) => Err(value(
            format!("{key}.columns"),
            "columns of the input tensors",
            format!("`{column}`"),
        )),
        None => Ok(()),
    }
}

fn mask_bias(description: &Description) -> Result<(), ForecastingError> {
    let found = &description.hyper_parameters.mask_bias;
    let masks = found.as_str() == Some("-inf") || found.as_f64().is_some_and(|bias| bias <= MASKED);
    if masks {
        return Ok(());
    }
    Err(value(
        "hyper_parameters.mask_bias",
        format!("\"-inf\" or a number up to {MASKED}"),
        found,
    ))
}

/// The targets in order.
pub(super) fn targets(description: &Description) -> &[String] {
    OneOrMany::as_slice(&description.preprocessing.target)
}
