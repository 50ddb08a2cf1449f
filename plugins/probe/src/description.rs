//! Describes what a handler sees of a record in one text that a test can compare.

use eventos_sdk::{Evento, Header};

/// Returns the members in a fixed order, separated by "; ". Bytes are written as in a Rust byte string.
pub(crate) fn describe(evento: &Evento) -> String {
    let headers: Vec<String> = evento.headers().map(header).collect();
    let members = [
        format!("id={:?}", evento.id()),
        format!("integer={}", evento.id_is_integer()),
        format!("tipo={:?}", evento.tipo()),
        format!("key={}", bytes(evento.key())),
        format!("value={}", bytes(evento.value())),
        format!("headers=[{}]", headers.join(", ")),
        format!("timestamp={:?}", evento.timestamp()),
        format!("log_append_time={}", evento.log_append_time()),
        format!("tombstone={}", evento.is_tombstone()),
        format!("topic={}", evento.topic()),
        format!("partition={}", evento.partition()),
        format!("offset={}", evento.offset()),
    ];
    members.join("; ")
}

fn header(header: Header<'_>) -> String {
    format!("{}={}", header.name, bytes(header.value))
}

fn bytes(bytes: Option<&[u8]>) -> String {
    bytes.map_or("null".to_owned(), |bytes| {
        format!("\"{}\"", bytes.escape_ascii())
    })
}
