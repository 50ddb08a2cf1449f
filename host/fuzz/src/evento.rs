//! Any bytes as an Evento.

use crate::event::{
    Batch, EventoLimits, EventoRef, NotAnEvento, Offset, Partition, Timestamp, TopicPartition,
    without_byte_order_mark,
};

/// Reads any bytes as an Evento. What is accepted is an object of JSON, also for a reader of another make.
///
/// # Panics
/// Panics if that is not so, or if a refusal depends on what surrounds the value.
pub fn evento(value: &[u8]) {
    let limits = EventoLimits::default();
    let parsed = EventoRef::parse_within(&limits, value);
    match &parsed {
        Ok(evento) => {
            let json = without_byte_order_mark(value);
            let other: serde_json::Value = match serde_json::from_slice(json) {
                Ok(other) => other,
                // A number that no f64 holds, or an object with one level more than this parser takes.
                Err(error) => {
                    let text = error.to_string();
                    assert!(
                        text.contains("number out of range") || text.contains("recursion limit")
                    );
                    return;
                }
            };
            assert!(other.is_object());
            assert!(!evento.id.as_str().is_empty() && !evento.tipo.is_empty());
            assert_eq!(other["tipo"].as_str(), Some(&*evento.tipo));
            match &other["id"] {
                serde_json::Value::String(id) => assert_eq!(id, evento.id.as_str()),
                id => assert!(id.is_number(), "{id}"),
            }
        }
        Err(NotAnEvento::Invalid(faults)) => assert!(!faults.is_empty()),
        Err(_) => {}
    }
    let mut batch = Batch::new(TopicPartition::new("t", Partition(0)));
    batch.push(Offset(0), None, Some(value), [], (Timestamp::NONE, 0));
    assert_eq!(batch.read().offsets.is_empty(), parsed.is_ok());
}
