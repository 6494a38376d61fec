//! Rows as `COPY … TO STDOUT (FORMAT binary)` sends them. Taking one apart costs a fraction of what a row
//! of a query does, whose driver looks its columns and their types up one by one.
//!
//! The format is that of PostgreSQL's documentation of `COPY`, "Binary Format": a header before the first
//! row; of each row the number of its fields, and of each field its length and its value as the type's
//! send function writes it; and -1 in place of a number of fields at the end.

use pulsetrail_domain::{Position, Timestamp};
use uuid::Uuid;

use super::stored::{Stored, time_of};

/// The signature, no flags and no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: &[u8] = &[0xff, 0xff];
const FIELDS: i16 = 9;

/// Copies at most `limit` events after a position, in order, with their columns in the order of
/// [`Stored`].
pub(super) fn copy_after(after: Position, limit: i64) -> String {
    let Position(after) = after;
    format!(
        "copy (select position, organization_id, aggregate_type, aggregate_id, sequence,
                      event_type, event_version, recorded_at, payload
               from events where position > {after} order by position limit {limit})
         to stdout (format binary)"
    )
}

/// What a message holds of a row; none of the one that says that there are no more.
pub(super) fn row(message: &[u8]) -> Option<&[u8]> {
    let row = message.strip_prefix(HEADER).unwrap_or(message);
    (row != TRAILER).then_some(row)
}

/// The columns of a row; none where it is not of the form that [`copy_after`] asks for.
pub(super) fn read(row: &[u8]) -> Option<Stored<'_>> {
    let (count, fields) = row.split_first_chunk()?;
    if i16::from_be_bytes(*count) != FIELDS {
        return None;
    }
    let mut fields = Fields(fields);
    Some(Stored {
        position: fields.integer()?,
        organization_id: Uuid::from_slice(fields.next()?).ok()?,
        aggregate_type: fields.text()?,
        aggregate_id: fields.text()?,
        sequence: fields.integer()?,
        event_type: fields.text()?,
        event_version: fields.text()?,
        recorded_at: fields.time()?,
        payload: fields.text()?,
    })
}

/// What of a row is not read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The next field; none where it is null.
    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
        let (field, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    fn integer(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.next()?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        str::from_utf8(self.next()?).ok()
    }

    fn time(&mut self) -> Option<Timestamp> {
        Some(time_of(self.integer()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored_row(fields: &[&[u8]]) -> Vec<u8> {
        let mut row = (fields.len() as i16).to_be_bytes().to_vec();
        for field in fields {
            row.extend((field.len() as i32).to_be_bytes());
            row.extend(*field);
        }
        row
    }

    fn fields() -> [Vec<u8>; 9] {
        let text = |text: &str| text.as_bytes().to_vec();
        [
            7_i64.to_be_bytes().to_vec(),
            Uuid::from_u128(9).as_bytes().to_vec(),
            text("test"),
            text("some id"),
            3_i64.to_be_bytes().to_vec(),
            text("Tested"),
            text("1.0"),
            1_000_001_i64.to_be_bytes().to_vec(),
            text("{\"text\":\"ü\"}"),
        ]
    }

    #[test]
    fn a_row_is_read_field_by_field() {
        let fields = fields();
        let row = stored_row(&fields.each_ref().map(Vec::as_slice));
        let event = read(&row).unwrap().event().unwrap();
        assert_eq!((event.position, event.sequence), (Position(7), 3));
        assert_eq!(event.organization_id.0, Uuid::from_u128(9));
        assert_eq!((&*event.aggregate_type, &*event.aggregate_id), ("test", "some id"));
        assert_eq!((&*event.event_type, &*event.event_version), ("Tested", "1.0"));
        assert_eq!(event.recorded_at.to_rfc3339(), "2000-01-01T00:00:01.000001+00:00");
        assert_eq!(event.payload.get(), "{\"text\":\"ü\"}");
    }

    #[test]
    fn a_row_that_is_cut_off_or_of_another_form_is_not_read() {
        let fields = fields();
        let whole = stored_row(&fields.each_ref().map(Vec::as_slice));
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_none(), "{end}");
        }
        let mut null = whole.clone();
        null[2..6].copy_from_slice(&(-1_i32).to_be_bytes());
        assert!(read(&null).is_none());
        assert!(read(&stored_row(&[b"one"])).is_none());
    }

    #[test]
    fn the_header_comes_before_the_first_row_and_the_trailer_in_place_of_one() {
        assert_eq!(row(&[HEADER, b"row"].concat()), Some(&b"row"[..]));
        assert_eq!(row(b"row"), Some(&b"row"[..]));
        assert_eq!(row(TRAILER), None);
        assert_eq!(row(&[HEADER, TRAILER].concat()), None);
    }
}
