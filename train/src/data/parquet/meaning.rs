//! What a Parquet column's logical type says about its numbers, in files old and new.

use super::super::time::{RawTime, TimeUnit};
use ::parquet::basic::{self, ConvertedType, LogicalType};
use ::parquet::data_type::Int96;
use ::parquet::schema::types::ColumnDescriptor;

/// What the whole numbers of a column mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Number { signed: bool },
    Timestamp(TimeUnit),
    Date,
    Text,
    Other,
}

pub(super) fn meaning(column: &ColumnDescriptor) -> Meaning {
    match column.logical_type_ref() {
        Some(LogicalType::Integer(int)) => Meaning::Number {
            signed: int.is_signed,
        },
        Some(LogicalType::Timestamp(timestamp)) => Meaning::Timestamp(unit(timestamp.unit)),
        Some(LogicalType::Date) => Meaning::Date,
        Some(LogicalType::String | LogicalType::Enum) => Meaning::Text,
        Some(_) => Meaning::Other,
        None => meaning_before_logical_types(column.converted_type()),
    }
}

fn meaning_before_logical_types(converted: ConvertedType) -> Meaning {
    match converted {
        ConvertedType::NONE
        | ConvertedType::INT_8
        | ConvertedType::INT_16
        | ConvertedType::INT_32
        | ConvertedType::INT_64 => Meaning::Number { signed: true },
        ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64 => {
            Meaning::Number { signed: false }
        }
        ConvertedType::TIMESTAMP_MILLIS => Meaning::Timestamp(TimeUnit::Ms),
        ConvertedType::TIMESTAMP_MICROS => Meaning::Timestamp(TimeUnit::Us),
        ConvertedType::DATE => Meaning::Date,
        ConvertedType::UTF8 | ConvertedType::ENUM => Meaning::Text,
        _ => Meaning::Other,
    }
}

fn unit(unit: basic::TimeUnit) -> TimeUnit {
    match unit {
        basic::TimeUnit::MILLIS => TimeUnit::Ms,
        basic::TimeUnit::MICROS => TimeUnit::Us,
        basic::TimeUnit::NANOS => TimeUnit::Ns,
    }
}

pub(super) fn type_text(column: &ColumnDescriptor) -> String {
    match column.logical_type_ref() {
        Some(logical) => format!("{} ({logical:?})", column.physical_type()),
        None => column.physical_type().to_string(),
    }
}

/// The time type of older writers: a Julian day and ns of the day.
pub(super) fn int96_to_ns(time: &Int96) -> Option<RawTime> {
    let (ns, s) = (time.to_nanos(), time.to_seconds());
    let fits = TimeUnit::S
        .to_ns(s)
        .is_some_and(|whole| (0..TimeUnit::S.ns()).contains(&(ns - whole)));
    fits.then_some(RawTime::Ns(ns))
}
