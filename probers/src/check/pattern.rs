//! Searching for regular expressions, one counted step after another.

use pulsetrail_domain::monitor::Pattern;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::primitives::StateID;
use regex_automata::{Input, hybrid};

use super::work::{Budget, Exceeded};

/// How much the states of one search may take, in bytes; it starts again from none when they take more.
const CACHE_BYTES: usize = 256 * 1024;

/// What it takes to compile a pattern, and more for each unit of its cost, in steps.
const COMPILE_STEPS: u64 = 1_000;
const STEPS_PER_COST: u64 = 128;

/// What is known of the end of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The text ends there.
    IsReached,
    /// More follows: a match must end before, and nothing is known to be the last.
    GoesOn,
}

/// A compiled regular expression. It finds what the crate `regex` finds.
pub(super) struct Searcher {
    nfa: NFA,
    /// None where it would take too much memory.
    dfa: Option<(DFA, Cache)>,
}

impl Searcher {
    /// Compiles a pattern; none where it is no regular expression or one of too much.
    pub(super) fn new(text: &str, budget: &mut Budget) -> Result<Option<Self>, Exceeded> {
        let Ok(pattern) = Pattern::parse(text) else { return Ok(None) };
        budget.spend(COMPILE_STEPS + pattern.cost() * STEPS_PER_COST)?;
        let Ok(nfa) = pattern.compile() else { return Ok(None) };
        let config = DFA::config()
            .cache_capacity(CACHE_BYTES)
            .skip_cache_capacity_check(true)
            .unicode_word_boundary(true);
        let dfa = hybrid::dfa::Builder::new().configure(config).build_from_nfa(nfa.clone()).ok();
        let dfa = dfa.map(|dfa| {
            let cache = dfa.create_cache();
            (dfa, cache)
        });
        Ok(Some(Self { nfa, dfa }))
    }

    /// Whether it is found in the text.
    pub(super) fn is_match(
        &mut self,
        (text, end): (&str, End),
        budget: &mut Budget,
    ) -> Result<bool, Exceeded> {
        let states = self.nfa.states().len() as u64;
        if let Some((dfa, cache)) = &mut self.dfa
            && let Some(found) = by_dfa((dfa, cache), states, (text.as_bytes(), end), budget)?
        {
            return Ok(found);
        }
        by_nfa(&self.nfa, (text.as_bytes(), end), budget)
    }
}

/// Whether it is found; none where the automaton cannot say it, as of a word's boundary beside bytes that are
/// not ASCII.
fn by_dfa(
    (dfa, cache): (&DFA, &mut Cache),
    nfa_states: u64,
    (text, end): (&[u8], End),
    budget: &mut Budget,
) -> Result<Option<bool>, Exceeded> {
    let Ok(mut state) = dfa.start_state_forward(cache, &Input::new(text)) else { return Ok(None) };
    let mut memory = cache.memory_usage();
    for byte in text {
        budget.spend(1)?;
        let Ok(next) = dfa.next_state(cache, state, *byte) else { return Ok(None) };
        state = next;
        if cache.memory_usage() != memory {
            // A state was made, of as many others as the pattern has.
            memory = cache.memory_usage();
            budget.spend(nfa_states)?;
        }
        if state.is_tagged() {
            if state.is_match() {
                return Ok(Some(true));
            } else if state.is_dead() {
                return Ok(Some(false));
            } else if state.is_quit() {
                return Ok(None);
            }
        }
    }
    if end == End::GoesOn {
        return Ok(Some(false));
    }
    let last = dfa.next_eoi_state(cache, state);
    Ok(last.ok().map(|state| state.is_match()))
}

/// Follows every state that the pattern can be in, byte by byte. Slower, and it knows every boundary.
fn by_nfa(nfa: &NFA, (text, end): (&[u8], End), budget: &mut Budget) -> Result<bool, Exceeded> {
    let mut now = StateSet::of(nfa);
    let mut next = StateSet::of(nfa);
    let mut stack = Vec::new();
    let last = match end {
        End::IsReached => text.len(),
        End::GoesOn => text.len().saturating_sub(1),
    };
    for at in 0..=last {
        // It may begin anywhere.
        stack.push(nfa.start_anchored());
        if close(nfa, text, at, &mut stack, &mut now, budget)? {
            return Ok(true);
        }
        let Some(byte) = text.get(at).copied().filter(|_| at < last) else { break };
        for id in now.members.iter().copied() {
            budget.spend(1)?;
            let to = match nfa.state(id) {
                State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
                State::Sparse(sparse) => sparse.matches_byte(byte),
                State::Dense(dense) => dense.matches_byte(byte),
                _ => None,
            };
            stack.extend(to);
            if close(nfa, text, at + 1, &mut stack, &mut next, budget)? {
                return Ok(true);
            }
        }
        std::mem::swap(&mut now, &mut next);
        next.clear();
    }
    Ok(false)
}

/// States, each once.
struct StateSet {
    members: Vec<StateID>,
    /// For every state of the pattern, whether it is a member.
    is_member: Vec<bool>,
}

impl StateSet {
    fn of(nfa: &NFA) -> Self {
        Self { members: Vec::new(), is_member: vec![false; nfa.states().len()] }
    }

    /// Adds a state; false where it was there.
    fn insert(&mut self, id: StateID) -> bool {
        match self.is_member.get_mut(id.as_usize()) {
            Some(is_member) if !*is_member => {
                *is_member = true;
                self.members.push(id);
                true
            }
            _ => false,
        }
    }

    fn clear(&mut self) {
        for id in self.members.drain(..) {
            if let Some(is_member) = self.is_member.get_mut(id.as_usize()) {
                *is_member = false;
            }
        }
    }
}

/// Adds the states on `stack`, and those that are reached from them without a byte, to `set`. True where one of
/// them is a match.
fn close(
    nfa: &NFA,
    text: &[u8],
    at: usize,
    stack: &mut Vec<StateID>,
    set: &mut StateSet,
    budget: &mut Budget,
) -> Result<bool, Exceeded> {
    while let Some(id) = stack.pop() {
        budget.spend(1)?;
        if !set.insert(id) {
            continue;
        }
        match nfa.state(id) {
            State::Match { .. } => return Ok(true),
            State::Look { look, next } if nfa.look_matcher().matches(*look, text, at) => {
                stack.push(*next);
            }
            State::Union { alternates } => stack.extend(alternates.iter().copied()),
            State::BinaryUnion { alt1, alt2 } => stack.extend([*alt1, *alt2]),
            State::Capture { next, .. } => stack.push(*next),
            _ => {}
        }
    }
    Ok(false)
}

/// Compiled patterns of one evaluation: each is compiled once, however many texts it is searched in.
#[derive(Default)]
pub(super) struct Patterns(Vec<(String, Option<Searcher>)>);

/// Patterns of one evaluation that are kept at most.
const MAX_KEPT: usize = 16;

impl Patterns {
    /// Whether the pattern is found in the text; none where it is no regular expression, or one of too much.
    pub(super) fn is_match(
        &mut self,
        pattern: &str,
        text: (&str, End),
        budget: &mut Budget,
    ) -> Result<Option<bool>, Exceeded> {
        let known = self.0.iter().position(|(known, _)| known == pattern);
        budget.spend_bytes(pattern.len() + MAX_KEPT * 16)?;
        let index = match known {
            Some(index) => index,
            None => {
                let searcher = Searcher::new(pattern, budget)?;
                if self.0.len() == MAX_KEPT {
                    self.0.remove(0);
                }
                self.0.push((pattern.to_owned(), searcher));
                self.0.len() - 1
            }
        };
        match self.0.get_mut(index) {
            Some((_, Some(searcher))) => searcher.is_match(text, budget).map(Some),
            _ => Ok(None),
        }
    }
}
