//! A handler for the host's tests that bypasses the SDK and violates the contract. The `tipo` of an Evento says how; it
//! spoils the outcomes of its whole batch. In a batch without such an Evento, everything passes.

#![cfg(target_family = "wasm")]

use eventos_sdk::bindings::{
    self, Batch, Guest, Outcomes,
    eventos::handler::types::{Records, Texts},
};

struct Crooked;

impl Guest for Crooked {
    fn init() -> Result<(), String> {
        Ok(())
    }

    fn handle(batch: Batch) -> Outcomes {
        let records = batch.offsets.len();
        let passing = || Outcomes {
            kinds: vec![0; records],
            ..Outcomes::default()
        };
        let invalid = tipos(&batch.tipos).find_map(|tipo| spoil(tipo, passing()));
        invalid.unwrap_or_else(passing)
    }
}

bindings::export!(Crooked with_types_in bindings);

/// Returns the outcomes with the violation that `tipo` names, or `None` if it names none.
fn spoil(tipo: &[u8], mut outcomes: Outcomes) -> Option<Outcomes> {
    let reject = |bytes: &[u8], end| Texts {
        bytes: bytes.to_vec(),
        ends: vec![end],
    };
    match tipo {
        b"fewer" => outcomes.kinds.clear(),
        b"more" => outcomes.kinds.push(0),
        b"unknown" => outcomes.kinds[0] = 9,
        b"no-utf8" => {
            outcomes.kinds[0] = 4;
            outcomes.reasons = reject(b"\xff", 1);
        }
        b"no-reason" => outcomes.kinds[0] = 4,
        b"beyond" => {
            outcomes.kinds[0] = 4;
            outcomes.reasons = reject(b"why", u32::MAX);
        }
        b"record-beyond" => {
            outcomes.kinds[0] = 2;
            outcomes.replacement_ends = vec![1];
            outcomes.replacements = Records {
                key_ends: vec![0],
                value_ends: vec![u32::MAX],
                flags: vec![0],
                timestamps: vec![0],
                header_ends: vec![0],
                ..Records::default()
            };
        }
        b"replacements-beyond" => {
            outcomes.kinds[0] = 2;
            outcomes.replacement_ends = vec![u32::MAX];
        }
        _ => return None,
    }
    Some(outcomes)
}

fn tipos(texts: &Texts) -> impl Iterator<Item = &[u8]> {
    let mut begin = 0;
    texts.ends.iter().map(move |&end| {
        let text = &texts.bytes[begin..end as usize];
        begin = end as usize;
        text
    })
}
