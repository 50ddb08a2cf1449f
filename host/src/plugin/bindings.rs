//! Bindings that wasmtime generates from `wit/`, and the conversions between its types and ours. Arguments are
//! borrowed, so that a batch is copied only once, into the guest; results are moved.

#![allow(
    missing_docs,
    unreachable_pub,
    reason = "generated; the WIT files carry the documentation"
)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "handler",
    ownership: Borrowing { duplicate_if_necessary: true },
    imports: { default: trappable },
});

use self::eventos::handler::types::{RecordsParam, RecordsResult, TextsParam, TextsResult};
use crate::event;

pub(super) fn lend(batch: &event::Batch) -> Batch<'_> {
    Batch {
        topic: batch.topic(),
        partition: batch.partition().0,
        offsets: &batch.offsets,
        ids: lend_texts(&batch.ids),
        tipos: lend_texts(&batch.tipos),
        records: lend_records(&batch.records),
    }
}

fn lend_texts(texts: &event::Texts) -> TextsParam<'_> {
    TextsParam {
        bytes: &texts.bytes,
        ends: &texts.ends,
    }
}

fn lend_records(records: &event::Records) -> RecordsParam<'_> {
    RecordsParam {
        bytes: &records.bytes,
        key_ends: &records.key_ends,
        value_ends: &records.value_ends,
        flags: &records.flags,
        timestamps: &records.timestamps,
        header_ends: &records.header_ends,
        header_name_ends: &records.header_name_ends,
        header_value_ends: &records.header_value_ends,
        header_nulls: &records.header_nulls,
    }
}

impl From<TextsResult> for event::Texts {
    fn from(TextsResult { bytes, ends }: TextsResult) -> Self {
        Self { bytes, ends }
    }
}

impl From<RecordsResult> for event::Records {
    fn from(records: RecordsResult) -> Self {
        Self {
            bytes: records.bytes,
            key_ends: records.key_ends,
            value_ends: records.value_ends,
            flags: records.flags,
            timestamps: records.timestamps,
            header_ends: records.header_ends,
            header_name_ends: records.header_name_ends,
            header_value_ends: records.header_value_ends,
            header_nulls: records.header_nulls,
        }
    }
}

impl From<Outcomes> for event::Outcomes {
    fn from(outcomes: Outcomes) -> Self {
        Self {
            kinds: outcomes.kinds,
            reasons: outcomes.reasons.into(),
            replacement_ends: outcomes.replacement_ends,
            replacements: outcomes.replacements.into(),
        }
    }
}
