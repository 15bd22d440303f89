//! The one JSON rule serde does not know: no object may hold a key twice.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// What is wrong with a JSON text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JsonFault {
    /// Not JSON; the text says what and where.
    Syntax(String),
    /// The path of a key that stands twice in its object.
    Duplicate(String),
}

/// Walks the whole text, at any depth the parser allows.
pub(super) fn check_unique_keys(text: &[u8]) -> Result<(), JsonFault> {
    let mut duplicate = None;
    let mut parser = serde_json::Deserializer::from_slice(text);
    let walk = Walk {
        duplicate: &mut duplicate,
    };
    let result = walk.deserialize(&mut parser).and_then(|()| parser.end());
    match (duplicate, result) {
        (Some(path), _) => Err(JsonFault::Duplicate(path)),
        (None, Err(e)) => Err(JsonFault::Syntax(e.to_string())),
        (None, Ok(())) => Ok(()),
    }
}

/// Visits any value and leaves the path of the first repeated key in `duplicate`.
struct Walk<'a> {
    duplicate: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(()) = seq.next_element_seed(Walk {
            duplicate: self.duplicate,
        })? {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                *self.duplicate = Some(key);
                return Err(A::Error::custom("duplicate key"));
            }
            let walk = Walk {
                duplicate: self.duplicate,
            };
            if let Err(e) = map.next_value_seed(walk) {
                *self.duplicate = self.duplicate.take().map(|inner| format!("{key}.{inner}"));
                return Err(e);
            }
            seen.insert(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_key_is_found_at_any_depth_and_named_by_its_path() {
        let cases: [(&str, &str); 4] = [
            (r#"{"a":1,"a":2}"#, "a"),
            (r#"{"a":{"b":1,"c":[],"b":2}}"#, "a.b"),
            (r#"{"list":[1,{"x":0},{"y":{"z":null,"z":true}}]}"#, "list.y.z"),
            (r#"{"a":1,"\u0061":2}"#, "a"),
        ];
        for (text, path) in cases {
            assert_eq!(
                check_unique_keys(text.as_bytes()),
                Err(JsonFault::Duplicate(path.to_string()))
            );
        }
    }

    #[test]
    fn equal_keys_in_different_objects_are_fine() {
        let text = r#"{"a":{"a":[{"a":-1},{"a":1.5}]},"b":"text"} "#;
        assert_eq!(check_unique_keys(text.as_bytes()), Ok(()));
    }

    #[test]
    fn text_that_is_not_json_is_a_syntax_fault() {
        let deep = "[".repeat(100_000);
        for text in ["", "{", "{}{}", "{\"a\":1e999}", "\u{feff}{}", &deep] {
            let fault = check_unique_keys(text.as_bytes());
            assert!(matches!(fault, Err(JsonFault::Syntax(_))), "{fault:?}");
        }
        assert!(matches!(
            check_unique_keys(b"{\"\xff\":1}"),
            Err(JsonFault::Syntax(_))
        ));
    }
}
