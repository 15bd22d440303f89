//! What cannot be described exactly is refused, with its place in the pickle, what was expected, and what is there.

use crate::fixture;
use crate::patched::{Patched, class, refusal, text};
use std::fs;

const AUTO: &str = "nets/pf_auto/model.ckpt";
const SHARED: &str = "nets/pf_shared/model.ckpt";
const SCALERS: &str = "checkpoint/scalers.ckpt";

fn assert_refused(file: &str, old: &[u8], new: &[u8], expected: &str) {
    let found = Patched::new(file).with(old, new).refusal();
    assert_eq!(found.as_deref(), Some(expected));
}

/// Another name for a class of pytorch-forecasting or scikit-learn.
fn assert_class_refused(file: &str, module: &str, [old, new]: [&str; 2], expected: &str) {
    assert_refused(file, &class(module, old), &class(module, new), expected);
}

#[test]
fn a_checkpoint_written_again_is_the_same() {
    for file in [AUTO, SHARED, SCALERS] {
        assert_eq!(Patched::new(file).refusal(), None, "{file}");
    }
}

#[test]
fn every_truncation_is_refused() {
    let file = fs::read(fixture(SCALERS)).unwrap();
    for n in (0..file.len()).step_by(97) {
        assert!(refusal(file[..n].to_vec()).is_some(), "{n} bytes");
    }
    let reason = refusal(file[..file.len() - 1].to_vec()).unwrap();
    assert!(reason.starts_with("patched.ckpt: zip container"), "{reason}");
}

#[test]
fn the_file_is_named() {
    let path = fixture("pickle/tensors.pt");
    let error = tickfuse_train::import::checkpoint::read(&path).unwrap_err();
    let expected = format!(
        "{}: `root`: expected a key `hyper_parameters`, found keys ",
        path.display()
    );
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn functions_as_a_transform_are_refused() {
    assert_refused(
        AUTO,
        &text("relu"),
        &class("torch", "relu"),
        "`hyper_parameters.output_transformer.transformation`: expected a transform known by name, not by functions, or \
         None, found class or function `torch.relu`",
    );
}

#[test]
fn losses_normalisers_and_scalers_of_unknown_classes_are_refused() {
    let losses = "expected a QuantileLoss, MultiLoss or one of MAE, RMSE, SMAPE, MAPE, CrossEntropy, found an object of";
    assert_class_refused(
        AUTO,
        "pytorch_forecasting.metrics.quantile",
        ["QuantileLoss", "BetaDistributionLoss"],
        &format!(
            "`hyper_parameters.loss`: {losses} `pytorch_forecasting.metrics.quantile.BetaDistributionLoss`"
        ),
    );
    assert_class_refused(
        SHARED,
        "pytorch_forecasting.metrics.point",
        ["MAE", "MASE"],
        &format!("`hyper_parameters.loss.metrics[1]`: {losses} `pytorch_forecasting.metrics.point.MASE`"),
    );
    assert_class_refused(
        AUTO,
        "pytorch_forecasting.data.encoders",
        ["EncoderNormalizer", "OwnNormalizer"],
        "`hyper_parameters.output_transformer`: expected a GroupNormalizer, EncoderNormalizer, TorchNormalizer or \
         NaNLabelEncoder, found an object of `pytorch_forecasting.data.encoders.OwnNormalizer`",
    );
    assert_class_refused(
        AUTO,
        "sklearn.preprocessing._data",
        ["RobustScaler", "MaxAbsScaler"],
        "`dataset_parameters.scalers.volume`: expected a StandardScaler, a RobustScaler, a normaliser or None, found an \
         object of `sklearn.preprocessing._data.MaxAbsScaler`",
    );
    assert_class_refused(
        AUTO,
        "pytorch_forecasting.data.encoders",
        ["NaNLabelEncoder", "LabelEncoder"],
        "`dataset_parameters.categorical_encoders.__group_id__symbol`: expected an object of `NaNLabelEncoder` of \
         pytorch_forecasting, found an object of `pytorch_forecasting.data.encoders.LabelEncoder`",
    );
}

#[test]
fn a_known_name_in_another_package_is_an_unknown_class() {
    assert_refused(
        AUTO,
        &class("pytorch_forecasting.metrics.quantile", "QuantileLoss"),
        &class("own.losses", "QuantileLoss"),
        "`hyper_parameters.loss`: expected a QuantileLoss, MultiLoss or one of MAE, RMSE, SMAPE, MAPE, CrossEntropy, \
         found an object of `own.losses.QuantileLoss`",
    );
}

#[test]
fn a_tensor_too_few_or_too_many_is_refused() {
    assert_refused(
        AUTO,
        &text("output_layer.bias"),
        &text("output_layer.bios"),
        "`state_dict`: expected a tensor output_layer.bias of shape [7], found none",
    );
    assert_refused(
        AUTO,
        &text("multihead_attn.w_h.weight"),
        &text("multihead_attn.w_0.weight"),
        "`state_dict`: expected no tensor multihead_attn.w_0.weight, found one of shape [16, 4]",
    );
    assert_refused(
        SHARED,
        &text("output_layer.1.bias"),
        &text("output_layer.2.bias"),
        "`state_dict`: expected a tensor output_layer.1.bias, found none",
    );
    assert_refused(
        AUTO,
        &text("hour"),
        &text("hours"),
        "`hyper_parameters.time_varying_reals_encoder[1]`: expected a variable with an embedding or a prescaler, found \
         str `hours`",
    );
}

#[test]
fn an_alias_with_other_values_is_refused() {
    let norm = |part: &str| text(&format!("post_lstm_add_norm_decoder.norm.{part}"));
    let swapped = Patched::new(AUTO)
        .with(&norm("weight"), &norm("w"))
        .with(&norm("bias"), &norm("weight"))
        .with(&norm("w"), &norm("bias"));
    assert_eq!(
        swapped.refusal().as_deref(),
        Some(
            "`state_dict.post_lstm_add_norm_decoder.norm.bias`: expected the values of \
             post_lstm_add_norm_encoder.norm.bias, of which it is an alias, found others"
        )
    );
    assert_refused(
        AUTO,
        &text("post_lstm_add_norm_encoder.norm.bias"),
        &text("post_lstm_add_norm.norm.bias"),
        "`state_dict.post_lstm_add_norm_decoder.norm.bias`: expected the values of \
         post_lstm_add_norm_encoder.norm.bias, of which it is an alias, found an alias without that tensor",
    );
}

#[test]
fn sizes_that_do_not_fit_the_tensors_are_refused() {
    let with = |opcodes: &[u8]| {
        let patched = Patched::new(AUTO).with_value("hidden_size", b"K\x10", opcodes);
        patched.refusal().unwrap()
    };
    let path = "`hyper_parameters.hidden_size`: expected an int from";
    assert_eq!(with(b"K\0"), format!("{path} 1 to 1048576, found int 0"));
    assert_eq!(with(b"J\xff\xff\xff\xff"), format!("{path} 0, found int -1"));
    assert_eq!(
        with(b"J\xff\xff\xff\x7f"),
        format!("{path} 1 to 1048576, found int 2147483647")
    );
    assert_eq!(with(b"\x88"), format!("{path} 0, found bool true"));
    let other = with(b"K\x0f");
    assert!(other.starts_with("`state_dict`: expected a tensor "), "{other}");
}

#[test]
fn lagged_columns_are_refused() {
    let patched = Patched::new(AUTO).with_value("lags", b"N", b"}X\x01\0\0\0x]K\x01as");
    assert_eq!(
        patched.refusal().as_deref(),
        Some(
            "`dataset_parameters.lags`: expected None: lagged columns cannot be described, found a dict of 1"
        )
    );
}

#[test]
fn a_checkpoint_without_its_data_set_is_refused() {
    assert_refused(
        AUTO,
        &text("dataset_parameters"),
        &text("data_set"),
        "`dataset_parameters`: expected what TemporalFusionTransformer.from_dataset stores, found none",
    );
}

#[test]
fn tables_of_unknown_parts_are_refused() {
    let table = "dataset_parameters.scalers.integers.norm_";
    assert_refused(
        SCALERS,
        &class("pandas", "DataFrame"),
        &class("polars", "DataFrame"),
        &format!(
            "`{table}`: expected an object of `DataFrame` of pandas, found an object of `polars.DataFrame`"
        ),
    );
    assert_refused(
        SCALERS,
        &class("pandas", "RangeIndex"),
        &class("pandas", "PeriodIndex"),
        "`dataset_parameters.scalers.range.norm_._mgr.(args)[1][1]`: expected an Index or CategoricalIndex, found \
         PeriodIndex",
    );
    assert_refused(
        SCALERS,
        &text("large_string"),
        &text("binary"),
        &format!(
            "`{table}._mgr.(args)[1][0].(args)[1].data._pa_array.(args)[0][0].(args)[0]`: expected large_string or \
             string, found str `binary`"
        ),
    );
}

#[test]
fn pandas_before_3_has_other_modules_for_the_same() {
    let patched = Patched::new(SCALERS)
        .with(
            &class("pandas", "DataFrame"),
            &class("pandas.core.frame", "DataFrame"),
        )
        .with(
            &class("pandas", "Index"),
            &class("pandas.core.indexes.numeric", "Int64Index"),
        )
        .with(
            &class("pandas", "RangeIndex"),
            &class("pandas.core.indexes.range", "RangeIndex"),
        );
    assert_eq!(patched.refusal(), None);
}

/// Bytes of the pickle turned over one at a time: read or refused, never a panic.
#[test]
fn no_damage_to_the_pickle_is_answered_with_a_panic() {
    let n = Patched::new(SCALERS).pickle().len();
    let mut n_refused = 0;
    for at in (0..n).step_by(29) {
        let mut damaged = Patched::new(SCALERS);
        damaged.pickle()[at] ^= 0x15;
        n_refused += usize::from(damaged.refusal().is_some());
    }
    assert!(n_refused > n / 29 / 4, "{n_refused} of {}", n / 29);
}
