//! What a dead letter says of itself.

use super::effects::DeadLetter;
use crate::event::{Batch, Failure};

/// A panic's text or a stack may be long; a header of so many bytes tells enough, and keeps the
/// letter within what a topic takes.
const MAX_TEXT: usize = 8 << 10;

pub(super) fn dead_letter_headers(
    from: &Batch,
    letter: &DeadLetter,
) -> Vec<(&'static str, String)> {
    let (handler, digest) = letter.handler.clone().unzip();
    let failure = Failure {
        topic: from.topic.to_string(),
        partition: Some(from.partition),
        offset: Some(letter.offset),
        stage: Some(letter.stage.to_owned()),
        class: Some(letter.class.to_owned()),
        message: Some(letter.message.clone()),
        stacktrace: Some(letter.stacktrace.clone()),
        attempts: Some(letter.attempts),
        handler,
        digest,
        left_out: letter.kept.left_out().map(str::to_owned),
    };
    failure.headers(MAX_TEXT)
}
