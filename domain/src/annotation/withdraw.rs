//! Taking an annotation back. The log keeps that it was there.

use super::{AnnotationError, AnnotationEvent, State};

pub(super) fn decide(state: State) -> Result<AnnotationEvent, AnnotationError> {
    match state {
        State::Made => Ok(AnnotationEvent::AnnotationWithdrawn {}),
        State::Unknown | State::Withdrawn => Err(AnnotationError::NotFound),
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::super::annotate::tests::made;
    use super::super::{Annotation, AnnotationCommand};
    use super::*;

    #[test]
    fn what_was_said_can_be_taken_back_once() {
        let withdrawn = AnnotationEvent::AnnotationWithdrawn {};
        TestFramework::<Annotation>::with(())
            .given(vec![made()])
            .when(AnnotationCommand::Withdraw)
            .then_expect_events(vec![withdrawn.clone()]);
        for given in [vec![], vec![made(), withdrawn]] {
            TestFramework::<Annotation>::with(())
                .given(given)
                .when(AnnotationCommand::Withdraw)
                .then_expect_error(AnnotationError::NotFound);
        }
    }
}
