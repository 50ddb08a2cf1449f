//! What a batch is to produce, record by record, and what has become of each.

use super::effects::Effects;
use crate::event::Offset;

/// One record to produce.
#[derive(Clone, Copy)]
pub(super) enum Outgoing {
    /// Which record of which emission.
    Emitted(usize, usize),
    /// Which record of what left the chain.
    Left(usize),
    /// Which dead letter.
    Dead(usize),
}

/// A record on its way out.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    pub source: Offset,
    pub one: Outgoing,
    /// Nothing else is on its way with it: a request that is too large fails whole, and this tells which record is.
    pub alone: bool,
    pub acknowledged: bool,
}

/// All that a batch brings about, in the order of the sources' offsets.
pub(super) struct Outbox(pub Vec<Pending>);

impl Outbox {
    pub(super) fn of(effects: &Effects) -> Self {
        let emitted = effects.emitted.iter().enumerate().flat_map(|(e, emitted)| {
            let sources = emitted.sources.iter().enumerate();
            sources.map(move |(r, &source)| (source, Outgoing::Emitted(e, r)))
        });
        let dead = effects.dead.iter().enumerate();
        let dead = dead.map(|(d, letter)| (letter.offset, Outgoing::Dead(d)));
        let left = effects.left.iter().flat_map(|left| {
            let records = 0..left.len();
            records.map(|i| (left.offset(i), Outgoing::Left(i)))
        });
        let mut outgoing: Vec<_> = emitted.chain(dead).chain(left).collect();
        // Stable: what one record brought about keeps its order.
        outgoing.sort_by_key(|(offset, _)| *offset);
        let pending = |(source, one)| Pending {
            source,
            one,
            alone: false,
            acknowledged: false,
        };
        Self(outgoing.into_iter().map(pending).collect())
    }

    /// Whether the broker has acknowledged all of it.
    pub(super) fn is_done(&self) -> bool {
        self.0.iter().all(|pending| pending.acknowledged)
    }

    /// What was acknowledged does not count.
    pub(super) fn begin_anew(&mut self) {
        for pending in &mut self.0 {
            pending.acknowledged = false;
        }
    }
}
