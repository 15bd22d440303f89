//! A value as JSON, in the form `fixtures/make/pickles.py` tells it; `None` states and empty parts are told, too.

use serde_json::{Value as Json, json};
use tickfuse_train::import::pickle::{Array, Kind, Object, PickleFile, Tensor, TorchFile, Value};

pub(crate) fn told(value: &Value<'_>) -> Json {
    let items = || -> Vec<Json> { value.items().unwrap().iter().map(told).collect() };
    match value.kind() {
        Kind::None => Json::Null,
        Kind::Bool => json!(value.as_bool().unwrap()),
        Kind::Int => value.as_int().map_or_else(|_| long(value), |v| json!(v)),
        Kind::Float => json!({"float": number(value.as_float().unwrap())}),
        Kind::Str => json!(value.as_str().unwrap()),
        Kind::Bytes => json!({"bytes": value.as_bytes().unwrap()}),
        Kind::List => json!(items()),
        Kind::Tuple => json!({"tuple": items()}),
        Kind::Set => json!({"set": sorted(items())}),
        Kind::Dict => json!({"dict": pairs(value)}),
        Kind::Tensor => tensor(value.as_tensor().unwrap()),
        Kind::Array => array(&value.as_array().unwrap()),
        Kind::Class => json!({"class": value.as_class().unwrap()}),
        Kind::Object => object(&value.as_object().unwrap()),
        _ if value.describe().starts_with("a reference back") => json!({"cut": true}),
        _ => json!({"other": value.describe()}),
    }
}

/// An int beyond 64 bits is told by its bytes' number, which stands in its description.
fn long(value: &Value<'_>) -> Json {
    let text = value.describe();
    let n: Option<usize> = text.split(' ').find_map(|word| word.parse().ok());
    json!({"long": n})
}

fn number(v: f64) -> Json {
    match v {
        v if v.is_nan() => json!("nan"),
        v if v.is_infinite() => json!(if v > 0.0 { "inf" } else { "-inf" }),
        v => json!(v),
    }
}

fn sorted(mut items: Vec<Json>) -> Vec<Json> {
    items.sort_by_key(Json::to_string);
    items
}

fn pairs(value: &Value<'_>) -> Vec<Json> {
    let entries = value.entries().unwrap();
    entries
        .iter()
        .map(|(key, value)| json!([told(key), told(value)]))
        .collect()
}

fn tensor(tensor: &Tensor) -> Json {
    let values = match tensor.to_i64() {
        Some(values) => values.into_iter().map(|v| json!(v)).collect(),
        None => tensor.to_f64().into_iter().map(number).collect::<Vec<_>>(),
    };
    json!({"tensor": format!("{:?}", tensor.dtype()), "shape": tensor.shape(), "values": values})
}

fn array(array: &Array<'_>) -> Json {
    let mut told_array = json!({"array": array.dtype().to_string(), "shape": array.shape()});
    let (name, elements) = if let Ok(items) = array.items() {
        ("items", items.iter().map(told).collect())
    } else if let Ok(ints) = array.to_i64() {
        let is_bool = array.dtype().kind == 'b';
        let told_int = |v| if is_bool { json!(v != 0) } else { json!(v) };
        ("values", ints.into_iter().map(told_int).collect())
    } else if let Ok(floats) = array.to_f64() {
        ("values", floats.into_iter().map(number).collect::<Vec<_>>())
    } else {
        ("raw", array.raw().unwrap().iter().map(|v| json!(v)).collect())
    };
    told_array[name] = Json::Array(elements);
    told_array
}

fn object(object: &Object<'_>) -> Json {
    json!({
        "object": format!("{}.{}", object.module(), object.name()),
        "args": told(&object.args()),
        "state": object.state().as_ref().map(told),
        "items": object.items().iter().map(told).collect::<Vec<_>>(),
        "pairs": object.entries().iter().map(|(key, value)| json!([told(key), told(value)])).collect::<Vec<_>>(),
    })
}

/// A file's value as JSON.
pub(crate) trait Tell {
    fn told(&self) -> Json;
}

impl Tell for TorchFile {
    fn told(&self) -> Json {
        told(&self.root())
    }
}

impl Tell for PickleFile {
    fn told(&self) -> Json {
        told(&self.root())
    }
}
