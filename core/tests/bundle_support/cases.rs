//! The hostile files: one or more per rule of `core/docs/format.md`.

use super::{HASH_DIGITS, Parts, sign, valid};
use tickfuse_core::bundle::Precision;

/// One hostile file.
pub struct Case {
    /// File name without `.safetensors`.
    pub name: &'static str,
    /// Variant of `OpenError` it must give.
    pub rule: &'static str,
    /// Its bytes.
    pub file: Vec<u8>,
}

/// Variants no file can trigger: they speak of the operating system and of the machine.
pub const NOT_BY_FILE: [&str; 2] = ["Io", "LevelUnavailable"];

fn case(name: &'static str, rule: &'static str, file: Vec<u8>) -> Case {
    Case { name, rule, file }
}

/// A case that replaces one piece of the header's text and signs the result.
fn edit(name: &'static str, rule: &'static str, from: &str, to: &str) -> Case {
    case(name, rule, parts().replace(from, to).file())
}

fn parts() -> Parts {
    Parts::of(&valid(Precision::F32))
}

/// All hostile files, in the order of the rules.
pub fn all() -> Vec<Case> {
    [framing(), json(), metadata(), layout(), schema(), content()]
        .into_iter()
        .flatten()
        .collect()
}

fn framing() -> Vec<Case> {
    let good = valid(Precision::F32);
    let with_length = |n: u64| [&n.to_le_bytes(), &good[8..]].concat();
    let n_header = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    vec![
        case("empty", "Truncated", Vec::new()),
        case("truncated_in_length", "Truncated", good[..7].to_vec()),
        case("truncated_in_header", "Truncated", good[..n_header].to_vec()),
        case("truncated_in_data", "Truncated", good[..good.len() - 1].to_vec()),
        case("header_length_zero", "HeaderLength", with_length(0)),
        case(
            "header_length_above_cap",
            "HeaderLength",
            with_length((4 << 20) + 1),
        ),
        case("header_length_2_64", "HeaderLength", with_length(u64::MAX)),
        case("trailing_bytes", "TrailingBytes", trailing_bytes()),
    ]
}

fn trailing_bytes() -> Vec<u8> {
    let mut parts = parts();
    parts.data.push(0);
    parts.file()
}

fn json() -> Vec<Case> {
    let entry = r#""head.0.bias":{"dtype":"F32","#;
    let newline = {
        let mut parts = parts();
        parts.json.push('\n');
        parts.file()
    };
    let not_utf8 = {
        let mut file = parts().file();
        let name = file.windows(4).position(|w| w == b"tiny").unwrap();
        file[name] = 0xff;
        sign(&mut file);
        file
    };
    let deep = format!(
        r#""head.0.bias":{{"extra":{}{},"dtype":"F32","#,
        "[".repeat(200),
        "]".repeat(200)
    );
    vec![
        case("header_padded_with_newline", "HeaderJson", newline),
        case("header_not_utf8", "HeaderJson", not_utf8),
        edit("header_nested_deep", "HeaderJson", entry, &deep),
        edit(
            "header_entry_unknown_key",
            "HeaderJson",
            entry,
            &format!(r#"{entry}"strides":[1],"#),
        ),
        edit(
            "header_entry_without_type",
            "HeaderJson",
            entry,
            r#""head.0.bias":{"#,
        ),
        edit(
            "header_negative_offset",
            "HeaderJson",
            "\"data_offsets\":[0,",
            "\"data_offsets\":[-1,",
        ),
        edit(
            "header_offset_2_64",
            "HeaderJson",
            "\"data_offsets\":[0,512]",
            "\"data_offsets\":[0,18446744073709551615]",
        ),
        edit(
            "header_metadata_not_text",
            "HeaderJson",
            "\"tickfuse\":",
            "\"comment\":1,\"tickfuse\":",
        ),
        edit(
            "header_metadata_unknown_key",
            "HeaderJson",
            "\"tickfuse\":",
            "\"comment\":\"\",\"tickfuse\":",
        ),
        edit("duplicate_tensor", "DuplicateKey", "head.0.bias", "lstm.0.bias"),
        edit(
            "duplicate_entry_key",
            "DuplicateKey",
            entry,
            &format!(r#"{entry}"dtype":"F32","#),
        ),
        edit(
            "duplicate_document",
            "DuplicateKey",
            "\"tickfuse\":",
            "\"tickfuse\":\"\",\"tickfuse\":",
        ),
        edit(
            "duplicate_schema_key",
            "DuplicateKey",
            r#"{\"format\":1,"#,
            r#"{\"format\":1,\"format\":1,"#,
        ),
    ]
}

fn metadata() -> Vec<Case> {
    let tensor = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let length = (tensor.len() as u64).to_le_bytes();
    let foreign = [&length, tensor.as_bytes(), &[0; 8]].concat();
    let spaced = parts().replace("{\"__metadata__\":", "{ \"__metadata__\":");
    let spaced = [
        &((spaced.json.len() as u64).to_le_bytes())[..],
        spaced.json.as_bytes(),
        &spaced.data,
    ]
    .concat();
    let mut upper_case = valid(Precision::F32);
    upper_case[HASH_DIGITS].make_ascii_uppercase();
    assert!(upper_case[HASH_DIGITS].iter().any(u8::is_ascii_uppercase));
    let mut flipped = valid(Precision::F32);
    *flipped.last_mut().unwrap() ^= 1;
    let mut other_digits = valid(Precision::F32);
    other_digits[HASH_DIGITS].rotate_left(1);
    vec![
        case("not_a_bundle", "NotABundle", foreign),
        case("hash_elsewhere", "HashPlace", spaced),
        case("hash_upper_case", "HashPlace", upper_case),
        case("hash_of_other_content", "Hash", flipped),
        case("hash_other_digits", "Hash", other_digits),
    ]
}

fn layout() -> Vec<Case> {
    let bias = r#""lstm.0.bias":{"dtype":"F32","shape":[1,4,16]"#;
    let with_bias = |name, rule, to: &str| edit(name, rule, bias, &format!("\"lstm.0.bias\":{{{to}"));
    let half_line = parts().append(r#""weight":{"dtype":"F32","shape":[1]"#, &[0; 4]);
    vec![
        case("too_many_tensors", "TooManyTensors", too_many_tensors()),
        case("misaligned_data", "Misaligned", misaligned_data()),
        case("misaligned_tensor", "Misaligned", half_line.file()),
        edit(
            "overlap",
            "Overlap",
            "\"data_offsets\":[512,4608]",
            "\"data_offsets\":[448,4544]",
        ),
        edit(
            "overlap_whole",
            "Overlap",
            "\"data_offsets\":[512,4608]",
            "\"data_offsets\":[0,4096]",
        ),
        edit(
            "hole_at_start",
            "Hole",
            "\"data_offsets\":[0,512]",
            "\"data_offsets\":[64,512]",
        ),
        edit(
            "hole_between",
            "Hole",
            "\"data_offsets\":[512,4608]",
            "\"data_offsets\":[576,4608]",
        ),
        edit(
            "tensor_size_backwards",
            "TensorSize",
            "\"data_offsets\":[512,4608]",
            "\"data_offsets\":[512,448]",
        ),
        with_bias("tensor_size", "TensorSize", r#""dtype":"F32","shape":[1,4,15]"#),
        with_bias(
            "tensor_size_overflow",
            "TensorSize",
            r#""dtype":"F32","shape":[4294967296,4294967296,16]"#,
        ),
        with_bias(
            "tensor_rank",
            "TensorRank",
            r#""dtype":"F32","shape":[1,1,1,1,1,1,1,4,16]"#,
        ),
        with_bias(
            "tensor_type_unknown",
            "TensorType",
            r#""dtype":"I32","shape":[1,4,16]"#,
        ),
        with_bias(
            "tensor_type_other",
            "TensorType",
            r#""dtype":"BF16","shape":[1,4,16,2]"#,
        ),
        with_bias("tensor_shape", "TensorShape", r#""dtype":"F32","shape":[1,16,4]"#),
        edit(
            "golden_shape",
            "TensorShape",
            "\"shape\":[2,3,2]",
            "\"shape\":[2,2,3]",
        ),
        case("golden_empty", "TensorShape", golden_empty()),
        edit(
            "golden_type",
            "TensorType",
            "\"F32\",\"shape\":[2,1]",
            "\"BF16\",\"shape\":[2,2]",
        ),
        edit("missing_weight", "MissingTensor", "lstm.0.bias", "lstm.0.bios"),
        edit(
            "missing_golden",
            "MissingTensor",
            "golden.output",
            "golden.outputs",
        ),
        case("unknown_weight", "UnknownTensor", unknown_weight()),
        case(
            "unknown_golden",
            "UnknownTensor",
            parts()
                .append(r#""golden.more":{"dtype":"F32","shape":[1]"#, &[0; 4])
                .file(),
        ),
    ]
}

fn too_many_tensors() -> Vec<u8> {
    let Parts { json, data } = parts();
    let entry = |i: usize| format!(",\"{i}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}");
    let entries: String = (0..4096).map(entry).collect();
    let json = format!("{}{entries}}}", json.strip_suffix('}').unwrap());
    Parts { json, data }.file()
}

/// Padded to 8 bytes as other writers of safetensors do.
fn misaligned_data() -> Vec<u8> {
    let parts = parts();
    let n = (8 + parts.json.len()).next_multiple_of(64);
    parts.with_length(n)
}

fn golden_empty() -> Vec<u8> {
    let mut parts = parts();
    let begin = parts.data.len() - 56;
    let at = |from: usize, to: usize| format!("[{},{}]", begin + from, begin + to);
    parts.data.truncate(begin);
    parts
        .replace("\"shape\":[2,3,2]", "\"shape\":[0,3,2]")
        .replace("\"shape\":[2,1]", "\"shape\":[0,1]")
        .replace(&at(0, 48), &at(0, 0))
        .replace(&at(48, 56), &at(0, 0))
        .file()
}

/// A whole line that no net asks for, before the golden tensors.
fn unknown_weight() -> Vec<u8> {
    let mut parts = parts();
    let golden = parts.data.split_off(parts.data.len() - 56);
    let begin = parts.data.len();
    let range = |from: usize, to: usize| format!("[{},{}]", begin + from, begin + to);
    parts.data.extend_from_slice(&[0; 64]);
    parts.data.extend_from_slice(&golden);
    let entry = format!(
        "\"head.1.bias\":{{\"dtype\":\"F32\",\"shape\":[1,16],\"data_offsets\":{}}}",
        range(0, 64)
    );
    parts
        .replace(&range(0, 48), &range(64, 112))
        .replace(&range(48, 56), &range(112, 120))
        .replace("\"golden.input\":", &format!("{entry},\"golden.input\":"))
        .file()
}

fn schema() -> Vec<Case> {
    let column = r#"\"name\":\"b\","#;
    let with_feature =
        |name, rule, op: &str| edit(name, rule, column, &format!(r#"{column}\"feature\":{op},"#));
    let name = r#"\"name\":\"tiny\","#;
    let unknown_key = format!(r#"{name}\"colour\":1,"#);
    let scaler = r#"\"scaler\":{\"center\":0.1,\"scale\":3.0},"#;
    vec![
        edit(
            "version_0",
            "UnknownVersion",
            r#"\"format\":1,"#,
            r#"\"format\":0,"#,
        ),
        edit(
            "version_2",
            "UnknownVersion",
            r#"\"format\":1,"#,
            r#"\"format\":2,\"from_the_future\":{},"#,
        ),
        edit("schema_without_version", "SchemaJson", r#"\"format\":1,"#, ""),
        edit(
            "schema_not_json",
            "SchemaJson",
            r#"\"format\":1,"#,
            r#"\"format\":1;"#,
        ),
        edit("schema_unknown_key", "SchemaJson", name, &unknown_key),
        edit(
            "schema_unknown_family",
            "SchemaJson",
            r#"\"lstm\""#,
            r#"\"perceptron\""#,
        ),
        edit(
            "schema_number_too_large",
            "SchemaJson",
            r#"\"scale\":3.0"#,
            r#"\"scale\":1e999"#,
        ),
        edit(
            "schema_zero_lookback",
            "Schema",
            r#"\"lookback\":3"#,
            r#"\"lookback\":0"#,
        ),
        edit(
            "schema_zero_scale",
            "Schema",
            r#"\"scale\":3.0"#,
            r#"\"scale\":0.0"#,
        ),
        edit(
            "schema_labels_of_other_head",
            "Schema",
            r#"[\"up\"]"#,
            r#"[\"up\",\"down\"]"#,
        ),
        edit(
            "schema_repeated_input",
            "Schema",
            r#"\"name\":\"b\""#,
            r#"\"name\":\"a\""#,
        ),
        with_feature(
            "schema_unknown_feature",
            "SchemaJson",
            r#"{\"crystal_ball\":{\"n\":5}}"#,
        ),
        with_feature("schema_feature_parameter", "Schema", r#"{\"ret\":{\"lag\":0}}"#),
        edit("missing_scaler", "MissingScaler", scaler, ""),
        edit("null_scaler", "MissingScaler", scaler, r#"\"scaler\":null,"#),
    ]
}

fn content() -> Vec<Case> {
    let with_value = |at: usize, value: f32| {
        let mut parts = parts();
        parts.data[at..at + 4].copy_from_slice(&value.to_le_bytes());
        parts.file()
    };
    let mut half_nan = Parts::of(&valid(Precision::Bf16));
    half_nan.data[6..8].copy_from_slice(&0x7fc1_u16.to_le_bytes());
    let n_data = parts().data.len();
    vec![
        case("nan_weight", "NonFinite", with_value(640, f32::NAN)),
        case("infinite_weight", "NonFinite", with_value(0, f32::NEG_INFINITY)),
        case("nan_weight_bf16", "NonFinite", half_nan.file()),
        case("nan_golden", "NonFinite", with_value(n_data - 4, f32::NAN)),
        case("golden_other_output", "Golden", with_value(n_data - 4, 0.75)),
    ]
}
