//! `[kafka.properties]`: turns names with dots, and scalar values of any type, into text by name.

use config::{Map, Value, ValueKind};

/// Rewrites the table in `tree`: `security.protocol = "SSL"`, which TOML reads as a nested table, becomes the
/// property `security.protocol`; numbers and booleans become text. Returns the names that were given twice.
pub(super) fn flatten(tree: &mut Map<String, Value>) -> Vec<String> {
    let (mut flat, mut twice) = (Map::new(), Vec::new());
    if let Some(properties) = table(tree, "kafka").and_then(|kafka| table(kafka, "properties")) {
        for (name, value) in std::mem::take(properties) {
            add(name, value, &mut flat, &mut twice);
        }
        *properties = flat;
    }
    twice
}

fn table<'a>(tree: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    match &mut tree.get_mut(name)?.kind {
        ValueKind::Table(table) => Some(table),
        _ => None,
    }
}

fn add(name: String, value: Value, flat: &mut Map<String, Value>, twice: &mut Vec<String>) {
    let kind = match value.kind {
        ValueKind::Table(nested) => {
            for (rest, value) in nested {
                add(format!("{name}.{rest}"), value, flat, twice);
            }
            return;
        }
        kind @ (ValueKind::Boolean(_) | ValueKind::I64(_) | ValueKind::Float(_)) => {
            ValueKind::String(kind.to_string())
        }
        kind => kind,
    };
    if flat.insert(name.clone(), Value::new(None, kind)).is_some() {
        twice.push(name);
    }
}
