//! A handler for the host's tests that answers past the SDK, and wrongly: what is wrong, the `tipo` of an Evento in
//! the batch says. Every other Evento passes, if it is in a batch without such a one.

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
        let wrong = tipos(&batch.tipos).find_map(|tipo| answer(tipo, passing()));
        wrong.unwrap_or_else(passing)
    }
}

bindings::export!(Crooked with_types_in bindings);

fn answer(tipo: &[u8], mut answer: Outcomes) -> Option<Outcomes> {
    let reject = |bytes: &[u8], end| Texts {
        bytes: bytes.to_vec(),
        ends: vec![end],
    };
    match tipo {
        b"fewer" => answer.kinds.clear(),
        b"more" => answer.kinds.push(0),
        b"unknown" => answer.kinds[0] = 9,
        b"no-utf8" => {
            answer.kinds[0] = 4;
            answer.reasons = reject(b"\xff", 1);
        }
        b"no-reason" => answer.kinds[0] = 4,
        b"beyond" => {
            answer.kinds[0] = 4;
            answer.reasons = reject(b"why", u32::MAX);
        }
        b"record-beyond" => {
            answer.kinds[0] = 2;
            answer.replacement_ends = vec![1];
            answer.replacements = Records {
                key_ends: vec![0],
                value_ends: vec![u32::MAX],
                flags: vec![0],
                timestamps: vec![0],
                header_ends: vec![0],
                ..Records::default()
            };
        }
        b"replacements-beyond" => {
            answer.kinds[0] = 2;
            answer.replacement_ends = vec![u32::MAX];
        }
        _ => return None,
    }
    Some(answer)
}

fn tipos(texts: &Texts) -> impl Iterator<Item = &[u8]> {
    let mut begin = 0;
    texts.ends.iter().map(move |&end| {
        let text = &texts.bytes[begin..end as usize];
        begin = end as usize;
        text
    })
}
