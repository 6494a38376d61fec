//! The rows that ClickHouse keeps: what the projector writes and the queries read.

mod check_row;
mod schedule_row;
mod transition_row;

pub(crate) use check_row::{CheckRow, UnreadableCheck};
pub(crate) use pulsetrail_domain::uptime::Status;
pub(crate) use schedule_row::ScheduleRow;
pub(crate) use transition_row::{TransitionKind, TransitionRow};

use serde::de::IntoDeserializer;
use serde::de::value::{Error as NameError, StrDeserializer};
use serde::{Deserialize, Serialize};

/// The name under which a fieldless variant is serialized.
pub(crate) fn name_of<T: Serialize>(variant: &T) -> String {
    match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(name)) => name,
        // Only for types that are not fieldless, of which there are none here.
        _ => String::new(),
    }
}

/// The variant of that name.
pub(crate) fn from_name<'a, T: Deserialize<'a>>(name: &'a str) -> Result<T, NameError> {
    let name: StrDeserializer<'a, NameError> = name.into_deserializer();
    T::deserialize(name)
}
