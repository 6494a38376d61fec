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
    /// Taken jobs that are not below the watermark, by offset.
    taken: VecDeque<(i64, Progress)>,
    /// The offset after the last job of the finished run, once there is one.
    watermark: Option<i64>,
    committed: Option<i64>,
    /// Of a partition that is being handed over, the last job that is still made here.
    last: Option<i64>,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    Begun,
    Finished,
}

impl Partition {
    /// Whether a job is still made here.
    fn keeps(&self, offset: i64) -> bool {
        self.last.is_none_or(|last| offset <= last)
    }

    fn progress(&mut self, ticket: Ticket) -> Option<&mut Progress> {
        if self.assignment != ticket.assignment {
            return None;
        }
        let place = self.place(ticket.offset)?;
        self.taken.get_mut(place).map(|(_, progress)| progress)
    }

    /// Where a taken job is. Offsets rarely have gaps, so that it is mostly where it would be without.
    fn place(&self, offset: i64) -> Option<usize> {
        let (first, _) = self.taken.front()?;
        let likely = usize::try_from(offset - first).ok()?;
        match self.taken.get(likely) {
            Some((found, _)) if *found == offset => Some(likely),
            _ => self.taken.binary_search_by_key(&offset, |(offset, _)| *offset).ok(),
        }
    }
}

impl Watermarks {
    /// Partitions were assigned: their jobs are counted from here.
    pub(super) fn assign(&mut self, partitions: impl IntoIterator<Item = i32>) {
        for partition in partitions {
            self.assignments += 1;
            let assignment = self.assignments;
            let state = Partition {
                assignment,
                taken: VecDeque::new(),
                watermark: None,
                committed: None,
                last: None,
            };
            self.partitions.insert(partition, state);
        }
    }

    /// Partitions are going to be taken away: what has begun is finished, and what would leave a gap
    /// before it; whatever else was taken is left to whoever comes after.
    pub(super) fn hand_over(&mut self, partitions: impl IntoIterator<Item = i32>) {
        for partition in partitions {
            let Some(state) = self.partitions.get_mut(&partition) else { continue };
            let begun = state.taken.iter().rev().find(|(_, job)| *job != Progress::Waiting);
            state.last = Some(begun.map_or(i64::MIN, |(offset, _)| *offset));
        }
    }

    /// Whether all that is still to be finished of partitions that are handed over is.
    pub(super) fn are_handed_over(&self, partitions: &[i32]) -> bool {
        let states = partitions.iter().filter_map(|partition| self.partitions.get(partition));
        states.into_iter().all(|state| {
            state
                .taken
                .iter()
                .all(|(offset, job)| *job == Progress::Finished || !state.keeps(*offset))
        })
    }

    /// The partitions that there are.
    pub(super) fn partitions(&self) -> Vec<i32> {
        self.partitions.keys().copied().collect()
    }

    /// Partitions were taken away: their jobs count no more.
    pub(super) fn revoke(&mut self, partitions: impl IntoIterator<Item = i32>) {
        for partition in partitions {
            self.partitions.remove(&partition);
        }
    }

    /// A job was taken. None where its partition was taken away or is about to be, or it was taken
    /// before: then somebody else makes the check, or somebody does already.
    pub(super) fn take(&mut self, partition: i32, offset: i64) -> Option<Ticket> {
        let state = self.partitions.get_mut(&partition)?;
        let newest = state.taken.back().map(|(offset, _)| *offset);
        if state.last.is_some()
            || newest.is_some_and(|newest| offset <= newest)
            || state.watermark.is_some_and(|watermark| offset < watermark)
        {
            return None;
        }
        state.taken.push_back((offset, Progress::Waiting));
        Some(Ticket { partition, assignment: state.assignment, offset })
    }

    /// A job begins; false where it is not to be made here any more.
    pub(super) fn begin(&mut self, ticket: Ticket) -> bool {
        let Some(state) = self.partitions.get_mut(&ticket.partition) else { return false };
        if !state.keeps(ticket.offset) {
            return false;
        }
        let Some(progress) = state.progress(ticket) else { return false };
        *progress = Progress::Begun;
        true
    }

    /// A job is finished.
    pub(super) fn finish(&mut self, ticket: Ticket) {
        let Some(state) = self.partitions.get_mut(&ticket.partition) else { return };
        let Some(progress) = state.progress(ticket) else { return };
        *progress = Progress::Finished;
        while let Some((offset, Progress::Finished)) = state.taken.front().copied() {
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
    fn what_has_begun_is_finished_before_a_partition_is_handed_over() {
        let mut marks = Watermarks::default();
        marks.assign([0, 1]);
        let tickets: Vec<Ticket> = (0..4).map(|offset| marks.take(0, offset).unwrap()).collect();
        let others = marks.take(1, 0).unwrap();
        assert!(marks.begin(tickets[0]) && marks.begin(tickets[2]));
        marks.hand_over([0]);
        assert!(!marks.are_handed_over(&[0]));
        assert_eq!(marks.take(0, 4), None, "it is somebody else's");
        assert!(!marks.begin(tickets[3]), "it is left to whoever comes after");
        assert!(marks.begin(tickets[1]), "without it, what came after would be made again");
        assert!(marks.begin(others), "the other partition stays");
        for ticket in &tickets[..3] {
            assert!(!marks.are_handed_over(&[0]));
            marks.finish(*ticket);
        }
        assert!(marks.are_handed_over(&[0]));
        assert_eq!(marks.uncommitted(), [(0, 3)]);
        marks.revoke([0]);
        assert!(!marks.begin(tickets[3]));
    }

    #[test]
    fn a_partition_where_nothing_has_begun_is_handed_over_at_once() {
        let mut marks = Watermarks::default();
        marks.assign([0]);
        let waiting = marks.take(0, 5).unwrap();
        marks.hand_over([0]);
        assert!(marks.are_handed_over(&[0]));
        assert!(!marks.begin(waiting));
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
