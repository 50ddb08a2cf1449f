//! Which letters are meant.

use super::{Cursor, Positions};
use crate::event::{EventoRef, Failure, Offset, Partition, Timestamp};

/// Which letters are meant, and how many of them at most.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Which of all.
    pub which: Which,
    /// Only what it has not read yet.
    pub after: Cursor,
    /// Only what it has read; what there is now, if it is not said.
    pub before: Option<Cursor>,
    /// Letters, at most.
    pub limit: usize,
}

/// Which of all letters.
#[derive(Clone, Debug)]
pub enum Which {
    /// Those that match.
    Matching(Filter),
    /// Those at these positions.
    At(Positions),
}

/// What a letter has to be like. What is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The name of the handler that failed on it.
    pub handler: Option<String>,
    /// The class of the failure.
    pub class: Option<String>,
    /// The topic that its record is from.
    pub topic: Option<String>,
    /// The partition that its record is from.
    pub partition: Option<Partition>,
    /// The least offset of its record.
    pub from_offset: Option<Offset>,
    /// The greatest offset of its record.
    pub to_offset: Option<Offset>,
    /// The least timestamp; a letter has that of its record.
    pub since: Option<Timestamp>,
    /// The first timestamp that is too late.
    pub until: Option<Timestamp>,
    /// The `id` of the Evento that it holds.
    pub id: Option<String>,
}

impl Filter {
    /// Whether a letter is like that.
    pub(super) fn matches(
        &self,
        failure: Option<&Failure>,
        timestamp: Timestamp,
        value: Option<&[u8]>,
    ) -> bool {
        let is = |asked: &Option<String>, has: fn(&Failure) -> Option<&str>| {
            asked.is_none() || asked.as_deref() == failure.and_then(has)
        };
        let offset = failure.and_then(|failure| failure.offset);
        let partition = failure.and_then(|failure| failure.partition);
        is(&self.handler, |it| it.handler.as_deref())
            && is(&self.class, |it| it.class.as_deref())
            && is(&self.topic, |it| Some(&it.topic))
            && (self.partition.is_none() || self.partition == partition)
            && self
                .from_offset
                .is_none_or(|from| offset.is_some_and(|it| it >= from))
            && self
                .to_offset
                .is_none_or(|to| offset.is_some_and(|it| it <= to))
            && self.since.is_none_or(|since| timestamp >= since)
            && self.until.is_none_or(|until| timestamp < until)
            && self.id.as_deref().is_none_or(|id| has_id(value, id))
    }
}

fn has_id(value: Option<&[u8]>, id: &str) -> bool {
    let evento = value.map(EventoRef::parse);
    evento.is_some_and(|evento| evento.is_ok_and(|evento| evento.id.as_str() == id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_is_obeyed_and_broken() {
        let failure = Failure {
            topic: "eventos".to_owned(),
            partition: Some(Partition(1)),
            offset: Some(Offset(5)),
            class: Some("eventos.Trap".to_owned()),
            handler: Some("probe".to_owned()),
            ..Failure::default()
        };
        let value = br#"{"id":7,"tipo":"t"}"#;
        let with = |set: fn(&mut Filter)| {
            let mut filter = Filter::default();
            set(&mut filter);
            filter
        };
        let matches = |filter: &Filter| filter.matches(Some(&failure), Timestamp(9), Some(value));
        for filter in [
            with(|it| it.handler = Some("probe".to_owned())),
            with(|it| it.class = Some("eventos.Trap".to_owned())),
            with(|it| it.topic = Some("eventos".to_owned())),
            with(|it| it.partition = Some(Partition(1))),
            with(|it| it.from_offset = Some(Offset(5))),
            with(|it| it.to_offset = Some(Offset(5))),
            with(|it| it.since = Some(Timestamp(9))),
            with(|it| it.until = Some(Timestamp(10))),
            with(|it| it.id = Some("7".to_owned())),
        ] {
            assert!(matches(&filter), "{filter:?}");
        }
        for filter in [
            with(|it| it.handler = Some("other".to_owned())),
            with(|it| it.class = Some("eventos.Reject".to_owned())),
            with(|it| it.topic = Some("other".to_owned())),
            with(|it| it.partition = Some(Partition(0))),
            with(|it| it.from_offset = Some(Offset(6))),
            with(|it| it.to_offset = Some(Offset(4))),
            with(|it| it.since = Some(Timestamp(10))),
            with(|it| it.until = Some(Timestamp(9))),
            with(|it| it.id = Some("8".to_owned())),
        ] {
            assert!(!matches(&filter), "{filter:?}");
        }
        assert!(Filter::default().matches(None, Timestamp::NONE, None));
        let handler = with(|it| it.handler = Some("probe".to_owned()));
        assert!(!handler.matches(None, Timestamp::NONE, None));
    }
}
