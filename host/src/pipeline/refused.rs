//! What becomes of what the broker does not take, for its size or for want of a permission.

use std::collections::BTreeSet;

use super::{
    Guarantee,
    deliver::Deliverer,
    effects::{DeadLetter, Effects, Kept},
    outbox::Outgoing,
    output::Output,
    work::Handled,
};
use crate::{
    event::Offset,
    kafka::{Permission, ProduceError},
};

/// What becomes of what the broker does not permit.
pub(super) const WAITS: &str = "its partition waits until then";
const DIES: &str = "what would go there becomes dead letters until then";

impl Deliverer {
    /// What the broker refuses for good is dead, with its source; a letter that is refused waits.
    pub(super) fn refused(
        &self,
        effects: &mut Effects,
        offset: Offset,
        one: Outgoing,
        error: &ProduceError,
    ) -> Outgoing {
        let permission = error.permission(self.topic(effects, one));
        let is_noted = permission.is_some();
        if let Some(permission) = permission {
            let and_so = match one {
                Outgoing::Emitted(..) | Outgoing::Left(_) => DIES,
                Outgoing::Dead(_) => WAITS,
            };
            self.refusals.refused(permission, and_so);
        }
        match one {
            Outgoing::Emitted(emission, _) => {
                let emitted = &effects.emitted[emission];
                let mut letter = letter("emit", "eventos.Emit", &emitted.topic, offset, error);
                letter.handler = Some(emitted.handler.clone());
                bury(effects, letter)
            }
            Outgoing::Left(_) => {
                let (Output { topic, .. }, _) = self.left(effects);
                let letter = letter("output", "eventos.OutputTopic", topic, offset, error);
                bury(effects, letter)
            }
            // A partition does not wait for a topic to take larger records.
            Outgoing::Dead(letter)
                if matches!(error, ProduceError::TooLarge)
                    && let Some(less) = effects.dead[letter].kept.less() =>
            {
                let topic = &self.config.dead_letter_topic;
                tracing::warn!(topic, %offset, kept = ?less, "a dead letter is larger than its topic takes; leaving something out");
                effects.dead[letter].kept = less;
                one
            }
            Outgoing::Dead(_) if is_noted => one,
            Outgoing::Dead(_) => {
                let topic = &self.config.dead_letter_topic;
                tracing::error!(%error, topic, %offset, "a dead letter is refused; its partition waits until it is taken");
                one
            }
        }
    }

    /// In a transaction the topic that is refused is not always told, so nothing of it dies of that.
    pub(super) fn waits_for_permission(&self) -> bool {
        self.config.guarantee == Guarantee::ExactlyOnce
    }

    /// What it takes to write to all topics that these batches produce to.
    pub(super) fn permission<'b>(&'b self, batches: &'b [Handled]) -> Permission {
        let of_one = |batch: &'b Handled| {
            let Handled {
                effects, outbox, ..
            } = batch;
            outbox.0.iter().map(|next| self.topic(effects, next.one))
        };
        let topics: BTreeSet<_> = batches.iter().flat_map(of_one).collect();
        let topics: Vec<_> = topics.into_iter().collect();
        match *topics {
            [only] => Permission::Write(only.to_owned()),
            _ => Permission::WriteAny(topics.join(", ")),
        }
    }

    pub(super) fn note_permitted(&self, effects: &Effects, one: Outgoing) {
        if self.refusals.are_there_any() {
            let topic = self.topic(effects, one).to_owned();
            self.refusals.granted(&Permission::Write(topic));
            self.refusals.granted(&Permission::Produce);
        }
    }
}

/// For what a topic refuses for good.
fn letter(
    stage: &'static str,
    class: &'static str,
    topic: &str,
    offset: Offset,
    error: &ProduceError,
) -> DeadLetter {
    DeadLetter {
        offset,
        stage,
        class,
        message: format!("a record for the topic {topic} cannot be produced: {error}"),
        stacktrace: String::new(),
        handler: None,
        attempts: 1,
        kept: Kept::Whole,
    }
}

fn bury(effects: &mut Effects, letter: DeadLetter) -> Outgoing {
    effects.dead.push(letter);
    Outgoing::Dead(effects.dead.len() - 1)
}
