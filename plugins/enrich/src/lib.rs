//! Adds members to the end of Eventos. The existing members stay unchanged, byte for byte.
//!
//! ```toml
//! [handler.enrich]
//! config = { members = { source = "usgs", level = 3 }, record = { partition = "partition", at = "timestamp" } }
//! ```
//!
//! `members` adds members with fixed values, which may be any JSON. `record` adds members with values from the Kafka
//! record: each name maps to `"topic"`, `"partition"`, `"offset"` or `"timestamp"` (milliseconds since 1970-01-01 UTC,
//! or null). A member that an Evento already has is neither changed nor added again. Key, headers and timestamp of the
//! record stay. Tombstones pass unchanged.

use std::collections::BTreeMap;

use eventos_sdk::{Evento, Outcome, config, handler};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

handler!(Enrich::handle, state = Enrich::new);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    members: BTreeMap<String, Value>,
    #[serde(default)]
    record: BTreeMap<String, Field>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Field {
    Topic,
    Partition,
    Offset,
    Timestamp,
}

/// The members to add, in the order of their names.
struct Enrich(BTreeMap<String, MemberValue>);

enum MemberValue {
    /// A fixed JSON text.
    Json(String),
    /// A field of the Kafka record.
    Field(Field),
}

impl Enrich {
    fn new() -> Result<Self, String> {
        let Settings { members, record } = config::typed()?;
        if let Some(name) = members.keys().find(|name| record.contains_key(*name)) {
            return Err(format!(
                "{name:?} is in both `members` and `record`: remove it from one of them"
            ));
        }
        let members = members
            .into_iter()
            .map(|(name, value)| (name, MemberValue::Json(value.to_string())));
        let record = record
            .into_iter()
            .map(|(name, field)| (name, MemberValue::Field(field)));
        let added: BTreeMap<_, _> = members.chain(record).collect();
        if added.is_empty() {
            return Err("no members to add: set `members`, `record` or both".to_owned());
        }
        if let Some(name) = ["id", "tipo"]
            .iter()
            .find(|name| added.contains_key(**name))
        {
            return Err(format!(
                "cannot add a member {name:?}, which every Evento already has: choose another name"
            ));
        }
        Ok(Self(added))
    }

    fn handle(&self, evento: &Evento) -> Outcome {
        let Some(text) = evento.text() else {
            return Outcome::Pass;
        };
        let existing: BTreeMap<String, IgnoredAny> = match evento.json() {
            Ok(members) => members,
            Err(error) => {
                return Outcome::reject(format!("cannot read the members of the Evento: {error}"));
            }
        };
        let mut missing = self
            .0
            .iter()
            .filter(|(name, _)| !existing.contains_key(*name))
            .peekable();
        // The text ends with the closing brace of the object, possibly followed by white space.
        let Some((members, end)) = text.rfind('}').map(|at| text.split_at(at)) else {
            return Outcome::Pass;
        };
        if missing.peek().is_none() {
            return Outcome::Pass;
        }
        let mut enriched = members.to_owned();
        for (name, value) in missing {
            enriched.push(',');
            enriched.push_str(&Value::from(name.as_str()).to_string());
            enriched.push(':');
            enriched.push_str(&value.json(evento));
        }
        enriched.push_str(end);
        Outcome::replace([evento.to_record().value(enriched)])
    }
}

impl MemberValue {
    fn json(&self, evento: &Evento) -> String {
        match self {
            Self::Json(json) => json.clone(),
            Self::Field(Field::Topic) => Value::from(evento.topic()).to_string(),
            Self::Field(Field::Partition) => evento.partition().to_string(),
            Self::Field(Field::Offset) => evento.offset().to_string(),
            Self::Field(Field::Timestamp) => Value::from(evento.timestamp()).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use eventos_sdk::{Outcome, Record, testing};

    use super::Enrich;

    fn enrich(members: &str, record: &str) -> Result<Enrich, String> {
        testing::set("members", members);
        testing::set("record", record);
        Enrich::new()
    }

    #[test]
    fn members_come_last_and_the_rest_stays_to_the_letter() {
        let record = r#"{"p":"partition","o":"offset","t":"timestamp","to":"topic"}"#;
        let enrich = enrich(r#"{"a\"":[1,{"b":null}]}"#, record).expect("the settings fit");
        let value = "{ \"tipo\":\"\\u0073ismo\", \"n\":1.10 ,\"id\":1,\"s\":\"}\"\t} \n";
        let sismo = |value: &str| Record::new(value).key("k").header("h", "v").timestamp(7);
        let bare = Record::new(r#"{"id":2,"tipo":"x"}"#);
        let records = [sismo(value), bare, Record::tombstone("k")];
        let run = testing::run(|evento| enrich.handle(evento), records);
        let enriched = "{ \"tipo\":\"\\u0073ismo\", \"n\":1.10 ,\"id\":1,\"s\":\"}\"\t,\"a\\\"\":[1,{\"b\":null}],\"o\":0,\"p\":0,\"t\":7,\"to\":\"eventos\"} \n";
        let bare =
            r#"{"id":2,"tipo":"x","a\"":[1,{"b":null}],"o":1,"p":0,"t":null,"to":"eventos"}"#;
        let expected = [
            Outcome::replace([sismo(enriched)]),
            Outcome::replace([Record::new(bare)]),
            Outcome::Pass,
        ];
        assert_eq!(run.outcomes, expected);
    }

    #[test]
    fn what_is_there_is_not_added_again() {
        let enrich = enrich(r#"{"a":1,"b":2}"#, "{}").expect("the settings fit");
        let values = [
            r#"{"id":1,"tipo":"x","\u0061":0}"#,
            r#"{"id":1,"tipo":"x","a":null,"b":1e400}"#,
        ];
        let run = testing::run(|evento| enrich.handle(evento), values.map(Record::new));
        let partly = Record::new(r#"{"id":1,"tipo":"x","\u0061":0,"b":2}"#);
        assert_eq!(run.outcomes, [Outcome::replace([partly]), Outcome::Pass]);
    }

    #[test]
    fn settings_that_cannot_be_carried_out_are_refused() {
        let error = |members, record| enrich(members, record).err().expect("refused");
        assert_eq!(
            error("{}", "{}"),
            "no members to add: set `members`, `record` or both"
        );
        assert_eq!(
            error(r#"{"id":1}"#, "{}"),
            "cannot add a member \"id\", which every Evento already has: choose another name"
        );
        assert_eq!(
            error(r#"{"p":1}"#, r#"{"p":"partition"}"#),
            "\"p\" is in both `members` and `record`: remove it from one of them"
        );
        assert_eq!(
            error("{}", r#"{"p":"partitoin"}"#),
            "invalid settings: `record`: unknown variant `partitoin`, expected one of `topic`, `partition`, `offset`, `timestamp`"
        );
    }
}
