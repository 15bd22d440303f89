//! Arrays of texts in pandas: over pyarrow's buffers, or over numpy's array of objects.
//!
//! pyarrow stores `(type, length, number of nulls, offset, [validity, ends, characters], ...)`; text `i` is the bytes from
//! end `i` to end `i + 1`, which are integers of 64 bits for `large_string` and of 32 for `string`.

use super::plain::{args, instance, instance_of, refused, text};
use crate::import::pickle::{Object, Value, ValueError};

const EXPECTED: &str = "an array of numpy or of texts";

/// The texts of an array of pandas; a missing one is refused.
pub(super) fn texts(value: &Value<'_>) -> Result<Vec<String>, ValueError> {
    let (object, class) = instance(value, "pandas", EXPECTED)?;
    match class {
        "ArrowStringArray" | "ArrowStringArrayNumpySemantics" => buffers(&object.attr("_pa_array")?),
        _ if is_backed(&object) => {
            let [_dtype, items] = backed(value, "StringArray")?;
            items.as_array()?.items()?.iter().map(text).collect()
        }
        _ => Err(value.error(EXPECTED)),
    }
}

fn is_backed(object: &Object<'_>) -> bool {
    object.name() == "__pyx_unpickle_NDArrayBacked"
}

/// Type and array of an object of pandas over an array of numpy.
pub(super) fn backed<'a>(value: &Value<'a>, class: &str) -> Result<[Value<'a>; 2], ValueError> {
    let expected = format!("a {class} of pandas");
    let (object, _) = instance(value, "pandas", &expected)?;
    let [found, _checksum, _state] = args(&object, "a class, a checksum and a state")?;
    let is_class = found
        .as_class()?
        .rsplit('.')
        .next()
        .is_some_and(|name| name.starts_with(class));
    let parts = object.state().map(|state| state.items()).transpose()?;
    let parts: Option<[Value<'a>; 2]> = parts.and_then(|parts| parts.try_into().ok());
    parts
        .filter(|_| is_class && is_backed(&object))
        .ok_or_else(|| value.error(&expected))
}

fn buffers(array: &Value<'_>) -> Result<Vec<String>, ValueError> {
    let restored = instance_of(array, "pyarrow", "_restore_array")?;
    let [parts] = args(&restored, "the parts of an array")?;
    let parts: [Value<'_>; 7] = parts
        .items()?
        .try_into()
        .map_err(|_| parts.error("7 parts of an array"))?;
    let [kind, n, n_null, offset, buffers, ..] = parts;
    if n_null.as_int()? != 0 {
        return Err(n_null.error("no missing text"));
    }
    let [_validity, ends, characters]: [Value<'_>; 3] = buffers
        .items()?
        .try_into()
        .map_err(|_| buffers.error("3 buffers of texts"))?;
    let (n, offset, width) = (n.as_usize()?, offset.as_usize()?, width(&kind)?);
    let ends = ends_of(buffer(&ends)?, width, offset, n).ok_or_else(|| {
        let expected = format!("{n} and 1 ends of {width} bytes after {offset}");
        ends.error(&expected)
    })?;
    let all = buffer(&characters)?;
    let cut = |pair: &[usize]| str::from_utf8(all.get(pair[0]..pair[1])?).ok();
    let texts: Option<Vec<&str>> = ends.windows(2).map(cut).collect();
    let texts = texts.ok_or_else(|| {
        refused(
            &characters,
            "texts up to each end",
            format!("{} bytes", all.len()),
        )
    })?;
    Ok(texts.into_iter().map(str::to_owned).collect())
}

fn width(kind: &Value<'_>) -> Result<usize, ValueError> {
    let alias = instance_of(kind, "pyarrow", "type_for_alias")?;
    let [name] = args(&alias, "the name of a type")?;
    match name.as_str()? {
        "large_string" | "large_utf8" => Ok(8),
        "string" | "utf8" => Ok(4),
        _ => Err(name.error("large_string or string")),
    }
}

fn buffer<'a>(value: &Value<'a>) -> Result<&'a [u8], ValueError> {
    let buffer = instance_of(value, "pyarrow", "py_buffer")?;
    let [bytes] = args(&buffer, "the bytes of a buffer")?;
    bytes.as_bytes()
}

fn ends_of(bytes: &[u8], width: usize, offset: usize, n: usize) -> Option<Vec<usize>> {
    let start = offset.checked_mul(width)?;
    let end = n.checked_add(1)?.checked_mul(width)?.checked_add(start)?;
    let ends = bytes.get(start..end)?.chunks_exact(width);
    let end = |bytes: &[u8]| match *bytes {
        [a, b, c, d] => usize::try_from(i32::from_le_bytes([a, b, c, d])).ok(),
        _ => usize::try_from(i64::from_le_bytes(bytes.try_into().ok()?)).ok(),
    };
    ends.map(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read_in_both_widths_from_the_offset() {
        let wide: Vec<u8> = [0_i64, 2, 5].into_iter().flat_map(i64::to_le_bytes).collect();
        let narrow: Vec<u8> = [0_i32, 2, 5].into_iter().flat_map(i32::to_le_bytes).collect();
        assert_eq!(ends_of(&wide, 8, 0, 2), Some(vec![0, 2, 5]));
        assert_eq!(ends_of(&narrow, 4, 1, 1), Some(vec![2, 5]));
    }

    #[test]
    fn ends_outside_the_buffer_or_below_zero_are_none() {
        let negative = (-1_i64).to_le_bytes();
        assert_eq!(ends_of(&negative, 8, 0, 0), None);
        assert_eq!(ends_of(&[0; 16], 8, 0, 2), None);
        assert_eq!(ends_of(&[0; 16], 8, usize::MAX, usize::MAX), None);
    }
}
