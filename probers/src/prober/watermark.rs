//! How far each partition's jobs are finished without a gap: what may be committed (invariant I4).

use std::collections::{HashMap, VecDeque};

/// A job that was taken, until it is finished. It is of one assignment of its partition: finishing it
/// after the partition was taken away changes nothing, also when the partition came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    partition: i32,
    assignment: u64,
    offset: i64,
}

/// The partitions that this prober has.
#[derive(Debug, Default)]
pub(super) struct Watermarks {
    partitions: HashMap<i32, Partition>,
    assignments: u64,
}

#[derive(Debug)]
struct Partition {
    assignment: u64,
    /// Taken jobs that are not below the watermark, by offset, and whether each is finished.
    taken: VecDeque<(i64, bool)>,
    /// The offset after the last job of the finished run, once there is one.
    watermark: Option<i64>,
    committed: Option<i64>,
}

impl Watermarks {
    /// Partitions were assigned: their jobs are counted from here.
    pub(super) fn assign(&mut self, partitions: impl IntoIterator<Item = i32>) {
        for partition in partitions {
            self.assignments += 1;
            let assignment = self.assignments;
            self.partitions.insert(
                partition,
                Partition { assignment, taken: VecDeque::new(), watermark: None, committed: None },
            );
        }
    }

    /// Partitions were taken away: their jobs count no more.
    pub(super) fn revoke(&mut self, partitions: impl IntoIterator<Item = i32>) {
        for partition in partitions {
            self.partitions.remove(&partition);
        }
    }

    /// A job was taken. None where its partition was taken away, or it was taken before: then
    /// somebody else makes the check, or somebody does already.
    pub(super) fn take(&mut self, partition: i32, offset: i64) -> Option<Ticket> {
        let state = self.partitions.get_mut(&partition)?;
        let newest = state.taken.back().map(|(offset, _)| *offset);
        if newest.is_some_and(|newest| offset <= newest)
            || state.watermark.is_some_and(|watermark| offset < watermark)
        {
            return None;
        }
        state.taken.push_back((offset, false));
        Some(Ticket { partition, assignment: state.assignment, offset })
    }

    /// A job is finished.
    pub(super) fn finish(&mut self, ticket: Ticket) {
        let state = self.partitions.get_mut(&ticket.partition);
        let Some(state) = state.filter(|state| state.assignment == ticket.assignment) else {
            return;
        };
        if let Ok(place) = state.taken.binary_search_by_key(&ticket.offset, |(offset, _)| *offset)
            && let Some((_, finished)) = state.taken.get_mut(place)
        {
            *finished = true;
        }
        while let Some((offset, true)) = state.taken.front().copied() {
            state.taken.pop_front();
            state.watermark = Some(offset + 1);
        }
    }

    /// What can be committed and was not yet, as (partition, next offset).
    pub(super) fn uncommitted(&self) -> Vec<(i32, i64)> {
        let moved = self.partitions.iter().filter(|(_, state)| state.watermark > state.committed);
        moved.filter_map(|(partition, state)| Some((*partition, state.watermark?))).collect()
    }

    /// What was handed to the cluster to be committed.
    pub(super) fn committed(&mut self, offsets: &[(i32, i64)]) {
        for (partition, offset) in offsets {
            if let Some(state) = self.partitions.get_mut(partition) {
                state.committed = state.committed.max(Some(*offset));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_run_without_gaps_is_committed() {
        let mut marks = Watermarks::default();
        marks.assign([3]);
        let tickets: Vec<Ticket> = (10..14).map(|offset| marks.take(3, offset).unwrap()).collect();
        marks.finish(tickets[2]);
        marks.finish(tickets[1]);
        assert_eq!(marks.uncommitted(), []);
        marks.finish(tickets[0]);
        assert_eq!(marks.uncommitted(), [(3, 13)]);
        marks.committed(&[(3, 13)]);
        assert_eq!(marks.uncommitted(), []);
        marks.finish(tickets[3]);
        assert_eq!(marks.uncommitted(), [(3, 14)]);
    }

    #[test]
    fn offsets_that_the_topic_skips_are_no_gap() {
        let mut marks = Watermarks::default();
        marks.assign([0]);
        let tickets = [5, 9, 20].map(|offset| marks.take(0, offset).unwrap());
        for ticket in tickets {
            marks.finish(ticket);
        }
        assert_eq!(marks.uncommitted(), [(0, 21)]);
    }

    #[test]
    fn a_job_of_an_earlier_assignment_changes_nothing() {
        let mut marks = Watermarks::default();
        marks.assign([0]);
        let old = marks.take(0, 7).unwrap();
        marks.revoke([0]);
        marks.finish(old);
        assert_eq!(marks.take(0, 8), None);
        marks.assign([0]);
        let again = marks.take(0, 7).unwrap();
        marks.finish(old);
        assert_eq!(marks.uncommitted(), [], "the new delivery is still under way");
        marks.finish(again);
        assert_eq!(marks.uncommitted(), [(0, 8)]);
    }

    #[test]
    fn a_job_is_taken_once_in_an_assignment() {
        let mut marks = Watermarks::default();
        marks.assign([0]);
        let ticket = marks.take(0, 7).unwrap();
        assert_eq!(marks.take(0, 7), None);
        marks.finish(ticket);
        assert_eq!(marks.take(0, 7), None);
        assert!(marks.take(0, 8).is_some());
    }
}
