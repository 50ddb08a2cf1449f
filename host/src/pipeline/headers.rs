//! What a dead letter says of itself: the headers that Kafka Connect adds (`DeadLetterQueueReporter`,
//! KIP-298), and our own. Values are UTF-8 text.

use super::effects::DeadLetter;
use crate::event::Batch;

/// A panic's text or a stack may be long; a header of so many bytes tells enough, and keeps the
/// letter within what a topic takes.
const MAX_TEXT: usize = 8 << 10;

pub(super) fn dead_letter_headers(
    from: &Batch,
    letter: &DeadLetter,
) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("__connect.errors.topic", from.topic.to_string()),
        ("__connect.errors.partition", from.partition.to_string()),
        ("__connect.errors.offset", letter.offset.to_string()),
        ("__connect.errors.stage", letter.stage.to_owned()),
        (
            "__connect.errors.exception.class.name",
            letter.class.to_owned(),
        ),
        ("__connect.errors.exception.message", cut(&letter.message)),
        (
            "__connect.errors.exception.stacktrace",
            cut(&letter.stacktrace),
        ),
        ("eventos.attempts", letter.attempts.to_string()),
    ];
    if let Some((name, digest)) = &letter.handler {
        headers.push(("eventos.handler", name.clone()));
        headers.push(("eventos.handler.digest", digest.clone()));
    }
    if let Some(parts) = letter.kept.left_out() {
        headers.push(("eventos.left_out", parts.to_owned()));
    }
    headers
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let long = format!("a{}", "é".repeat(MAX_TEXT));
        let cut = cut(&long);
        assert_eq!(cut.len(), MAX_TEXT - 1);
        assert!(long.starts_with(&cut));
    }
}
