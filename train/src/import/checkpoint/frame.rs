//! Tables of pandas: the rows of a DataFrame with the columns `center` and `scale`.
//!
//! A frame is a manager of blocks: arrays `[columns, rows]` of one type, each with the places of its columns, as a slice or
//! an array of places (pandas 1.3 to 3).

use super::index;
use super::plain::{args, each, instance_of, refused};
use crate::import::pickle::{Kind, Value, ValueError};
use serde_json::Value as Json;

/// A row: its key, one label per level of the index, and two numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) key: Vec<Json>,
    pub(super) center: f64,
    pub(super) scale: f64,
}

/// The rows of a frame.
pub(super) fn rows(value: &Value<'_>) -> Result<Vec<Row>, ValueError> {
    let frame = instance_of(value, "pandas", "DataFrame")?;
    let manager = instance_of(&frame.attr("_mgr")?, "pandas", "BlockManager")?;
    let [blocks, axes] = args(&manager, "blocks and axes, as pandas stores them since 1.3")?;
    let [labels, keys]: [Value<'_>; 2] = axes
        .items()?
        .try_into()
        .map_err(|_| axes.error("two axes, of columns and of rows"))?;
    let names = index::labels(&labels)?;
    let blocks = each(&blocks, |block| Block::read(block, names.len()))?;
    let column = |name: &str| column(value, &blocks, &names, name);
    let (centers, scales) = (column("center")?, column("scale")?);
    let found = index::keys(&keys, centers.len())?;
    let is_even = scales.len() == centers.len() && found.len() == centers.len();
    if !is_even {
        let found = format!(
            "{} keys, {} and {} numbers",
            found.len(),
            centers.len(),
            scales.len()
        );
        return Err(refused(
            value,
            "as many row labels as numbers in each column",
            found,
        ));
    }
    let numbers = centers.into_iter().zip(scales);
    let row = |(key, (center, scale))| Row { key, center, scale };
    Ok(found.into_iter().zip(numbers).map(row).collect())
}

/// Columns of one type: their places in the frame, and their numbers, one column after the other.
struct Block<'a> {
    value: Value<'a>,
    places: Vec<usize>,
    numbers: Vec<f64>,
}

impl<'a> Block<'a> {
    fn read(value: &Value<'a>, n_columns: usize) -> Result<Self, ValueError> {
        let block = instance_of(value, "pandas", "_unpickle_block")?;
        let [values, placement, _n_dimensions] = args(&block, "values, placement and number of dimensions")?;
        let array = values.as_array()?;
        let places = places(&placement, n_columns)?;
        if array.shape().len() != 2 || array.shape()[0] != places.len() {
            return Err(values.error(&format!("an array of {} columns", places.len())));
        }
        Ok(Self {
            value: values.clone(),
            places,
            numbers: array.to_f64()?,
        })
    }

    fn column(&self, place: usize) -> Option<Vec<f64>> {
        let i = self.places.iter().position(|p| *p == place)?;
        let n_rows = self.numbers.len() / self.places.len();
        Some(self.numbers[i * n_rows..(i + 1) * n_rows].to_vec())
    }
}

fn column(
    frame: &Value<'_>,
    blocks: &[Block<'_>],
    labels: &[Json],
    name: &str,
) -> Result<Vec<f64>, ValueError> {
    let mut places = (0..labels.len()).filter(|i| labels[*i] == *name);
    let (Some(place), None) = (places.next(), places.next()) else {
        let found = format!("columns {}", Json::from(labels.to_vec()));
        return Err(refused(frame, format!("one column `{name}`"), found));
    };
    let mut found = blocks
        .iter()
        .filter_map(|block| Some((block, block.column(place)?)));
    let (Some((block, column)), None) = (found.next(), found.next()) else {
        return Err(refused(
            frame,
            format!("column `{name}` in one block"),
            "none or several",
        ));
    };
    match column.iter().position(|v| !v.is_finite()) {
        None => Ok(column),
        Some(row) => {
            let found = format!("{} in row {row}", column[row]);
            Err(refused(
                &block.value,
                format!("finite numbers in column `{name}`"),
                found,
            ))
        }
    }
}

/// The places of a block's columns among all.
fn places(placement: &Value<'_>, n_columns: usize) -> Result<Vec<usize>, ValueError> {
    let found = match placement.kind() {
        Kind::Array => {
            let places = placement.as_array()?.to_i64()?;
            places.into_iter().map(|place| within(place, n_columns)).collect()
        }
        _ => slice(placement, n_columns)?,
    };
    found.ok_or_else(|| placement.error(&format!("places of {n_columns} columns")))
}

fn within(place: i64, n: usize) -> Option<usize> {
    usize::try_from(place).ok().filter(|place| *place < n)
}

fn slice(placement: &Value<'_>, n: usize) -> Result<Option<Vec<usize>>, ValueError> {
    let slice = instance_of(placement, "builtins", "slice")?;
    let [start, stop, step] = args(&slice, "start, stop and step")?;
    let stop = if stop.is_none() {
        None
    } else {
        Some(stop.as_int()?)
    };
    Ok(steps(start.as_int()?, stop, step.as_int()?, n))
}

/// The places of a slice as pandas stores it: from 0, and without a stop only where the steps lead down to 0.
fn steps(start: i64, stop: Option<i64>, step: i64, n: usize) -> Option<Vec<usize>> {
    let stop = stop.or((step < 0).then_some(-1))?;
    let (mut at, mut places) = (start, Vec::new());
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        places.push(within(at, n)?);
        at = at.saturating_add(step);
    }
    (step != 0).then_some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_names_places_upwards_and_downwards() {
        assert_eq!(steps(0, Some(6), 3, 5), Some(vec![0, 3]));
        assert_eq!(steps(3, Some(1), -1, 5), Some(vec![3, 2]));
        assert_eq!(steps(1, None, -1, 2), Some(vec![1, 0]));
        assert_eq!(steps(2, Some(2), 1, 5), Some(vec![]));
    }

    #[test]
    fn a_slice_outside_the_columns_is_none() {
        assert_eq!(steps(0, Some(3), 1, 2), None);
        assert_eq!(steps(-1, Some(1), 1, 2), None);
        assert_eq!(steps(0, None, 1, 2), None);
        assert_eq!(steps(0, Some(2), 0, 2), None);
        assert_eq!(steps(0, Some(i64::MAX), i64::MAX, usize::MAX), Some(vec![0]));
    }
}
