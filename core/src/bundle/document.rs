//! The schema as text: strict reading, the version first, and the one way of writing.

use super::json::{JsonFault, check_unique_keys};
use super::schema::{FORMAT, Schema};
use crate::error::OpenError;
use alloc::format;
use alloc::string::{String, ToString};
use serde::Deserialize;

/// The only key every version of the document has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// Refuses a document of a version this build does not know, whatever else it holds.
pub(super) fn check_version(text: &str) -> Result<(), OpenError> {
    check_unique_keys(text.as_bytes()).map_err(|fault| match fault {
        JsonFault::Duplicate(path) => OpenError::DuplicateKey(format!("tickfuse.{path}")),
        JsonFault::Syntax(message) => OpenError::SchemaJson(message),
    })?;
    let version: Version = serde_json::from_str(text).map_err(json_error)?;
    if (1..=FORMAT).contains(&version.format) {
        return Ok(());
    }
    Err(OpenError::UnknownVersion {
        supported: FORMAT,
        found: version.format,
    })
}

impl Schema {
    /// Reads and validates the document of a model file.
    ///
    /// # Errors
    /// [`OpenError::DuplicateKey`], [`OpenError::UnknownVersion`], [`OpenError::SchemaJson`], or what
    /// [`Schema::validate`] reports; in this order.
    pub fn from_json(text: &str) -> Result<Self, OpenError> {
        check_version(text)?;
        let schema: Self = serde_json::from_str(text).map_err(json_error)?;
        schema.validate()?;
        Ok(schema)
    }

    /// The document of a model file: one line of JSON, keys in the order of the types.
    ///
    /// # Errors
    /// What [`Schema::validate`] reports.
    pub fn to_json(&self) -> Result<String, OpenError> {
        self.validate()?;
        serde_json::to_string(self).map_err(json_error)
    }
}

#[allow(clippy::needless_pass_by_value, reason = "the shape `map_err` wants")]
pub(super) fn json_error(e: serde_json::Error) -> OpenError {
    OpenError::SchemaJson(e.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Smallest useful schema: two inputs, three rows, one layer of 16, one probability.
    pub(in super::super) const TINY: &str = concat!(
        r#"{"format":1,"name":"tiny","net":{"family":"lstm","lookback":3,"n_hidden":16,"n_layers":1,"#,
        r#""head":[{"n_out":1,"activation":"none"}]},"precision":"f32","inputs":["#,
        r#"{"name":"a","scaler":{"center":0.1,"scale":3.0},"missing":"reject"},"#,
        r#"{"name":"b","scaler":{"center":-1.5,"scale":0.25,"fitted_ns":[1,9]},"missing":"center"}],"#,
        r#""outputs":[{"name":"p_up","kind":"sigmoid","labels":["up"],"unit":"probability"}],"#,
        r#""arrival":"pre_rolled","golden_tolerance":0.0001,"provenance":{}}"#
    );

    fn edited(from: &str, to: &str) -> Result<Schema, OpenError> {
        assert!(TINY.contains(from), "{from}");
        Schema::from_json(&TINY.replacen(from, to, 1))
    }

    #[test]
    fn the_text_returns_unchanged() {
        let schema = Schema::from_json(TINY).unwrap();
        assert_eq!(schema.to_json().unwrap(), TINY);
        assert_eq!(schema.inputs[0].scaler.unwrap().center, 0.1);
    }

    #[test]
    fn a_future_version_is_unknown_before_its_keys_are() {
        let error = edited(r#""format":1,"#, r#""format":2,"new_key":[],"#)
            .err()
            .unwrap();
        let expected = OpenError::UnknownVersion {
            supported: FORMAT,
            found: 2,
        };
        assert_eq!(error, expected);
    }

    #[test]
    fn unknown_repeated_and_malformed_keys_are_told_apart() {
        let error = |from, to| edited(from, to).err().unwrap();
        let unknown = error(r#""name":"tiny","#, r#""name":"tiny","colour":1,"#);
        assert!(
            matches!(&unknown, OpenError::SchemaJson(t) if t.contains("colour")),
            "{unknown}"
        );
        let net = error(r#""lookback":3"#, r#""lookback":3,"depth":2"#);
        assert!(
            matches!(&net, OpenError::SchemaJson(t) if t.contains("depth")),
            "{net}"
        );
        let twice = error(r#""scale":3.0"#, r#""scale":3.0,"scale":3.0"#);
        assert_eq!(
            twice,
            OpenError::DuplicateKey("tickfuse.inputs.scaler.scale".into())
        );
        let family = error("lstm", "perceptron");
        assert!(matches!(family, OpenError::SchemaJson(_)), "{family}");
    }

    #[test]
    fn an_input_without_scaler_is_named() {
        let error = edited(r#""scaler":{"center":0.1,"scale":3.0},"#, "")
            .err()
            .unwrap();
        assert_eq!(error, OpenError::MissingScaler { input: "a".into() });
    }

    #[test]
    fn scales_that_cannot_divide_are_refused() {
        for scale in ["0.0", "-1.0", "1e-320", "1e999"] {
            assert!(
                edited(r#""scale":3.0"#, &format!(r#""scale":{scale}"#)).is_err(),
                "{scale}"
            );
        }
    }
}
