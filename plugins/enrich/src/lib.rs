//! Adds members to Eventos, after those that they have, which stay as they are to the letter.
//!
//! ```toml
//! [handler.enrich]
//! config = { members = { source = "usgs", level = 3 }, record = { partition = "partition", at = "timestamp" } }
//! ```
//!
//! `members` are added with their values, which may be any that JSON has. `record` adds what the record around the
//! Evento knows: for each name one of `"topic"`, `"partition"`, `"offset"` and `"timestamp"` (milliseconds since
//! 1970-01-01 UTC, or null). What an Evento has already is neither changed nor added again. Key, headers and timestamp of the
//! record stay. Tombstones pass.

use std::collections::BTreeMap;

use eventos_sdk::{Evento, Outcome, config, handler};
use serde::Deserialize;
use serde::de::IgnoredAny;
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

/// What to add, in the order of the names.
struct Enrich(BTreeMap<String, Added>);

enum Added {
    /// This JSON.
    Json(String),
    Field(Field),
}

impl Enrich {
    fn new() -> Result<Self, String> {
        let Settings { members, record } = config::typed()?;
        if let Some(name) = members.keys().find(|name| record.contains_key(*name)) {
            return Err(format!(
                "{name:?} is both in `members` and in `record`: take it out of one"
            ));
        }
        let members = members
            .into_iter()
            .map(|(name, value)| (name, Added::Json(value.to_string())));
        let record = record
            .into_iter()
            .map(|(name, field)| (name, Added::Field(field)));
        let added: BTreeMap<_, _> = members.chain(record).collect();
        if added.is_empty() {
            return Err("there is nothing to add: set `members`, `record` or both".to_owned());
        }
        if let Some(name) = ["id", "tipo"]
            .iter()
            .find(|name| added.contains_key(**name))
        {
            return Err(format!(
                "every Evento has a member {name:?}, so it can never be added: choose another name"
            ));
        }
        Ok(Self(added))
    }

    fn handle(&self, evento: &Evento) -> Outcome {
        let Some(text) = evento.text() else {
            return Outcome::Pass;
        };
        let has: BTreeMap<String, IgnoredAny> = match evento.json() {
            Ok(members) => members,
            Err(error) => return Outcome::reject(format!("its members cannot be read: {error}")),
        };
        let mut missing = self
            .0
            .iter()
            .filter(|(name, _)| !has.contains_key(*name))
            .peekable();
        // An object ends with a brace; blanks may follow.
        let Some((members, end)) = text.rfind('}').map(|at| text.split_at(at)) else {
            return Outcome::Pass;
        };
        if missing.peek().is_none() {
            return Outcome::Pass;
        }
        let mut enriched = members.to_owned();
        for (name, added) in missing {
            enriched.push(',');
            enriched.push_str(&Value::from(name.as_str()).to_string());
            enriched.push(':');
            enriched.push_str(&added.json(evento));
        }
        enriched.push_str(end);
        Outcome::replace([evento.to_record().value(enriched)])
    }
}

impl Added {
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
        let ran = testing::run(|evento| enrich.handle(evento), records);
        let enriched = "{ \"tipo\":\"\\u0073ismo\", \"n\":1.10 ,\"id\":1,\"s\":\"}\"\t,\"a\\\"\":[1,{\"b\":null}],\"o\":0,\"p\":0,\"t\":7,\"to\":\"eventos\"} \n";
        let bare =
            r#"{"id":2,"tipo":"x","a\"":[1,{"b":null}],"o":1,"p":0,"t":null,"to":"eventos"}"#;
        let expected = [
            Outcome::replace([sismo(enriched)]),
            Outcome::replace([Record::new(bare)]),
            Outcome::Pass,
        ];
        assert_eq!(ran.outcomes, expected);
    }

    #[test]
    fn what_is_there_is_not_added_again() {
        let enrich = enrich(r#"{"a":1,"b":2}"#, "{}").expect("the settings fit");
        let values = [
            r#"{"id":1,"tipo":"x","\u0061":0}"#,
            r#"{"id":1,"tipo":"x","a":null,"b":1e400}"#,
        ];
        let ran = testing::run(|evento| enrich.handle(evento), values.map(Record::new));
        let partly = Record::new(r#"{"id":1,"tipo":"x","\u0061":0,"b":2}"#);
        assert_eq!(ran.outcomes, [Outcome::replace([partly]), Outcome::Pass]);
    }

    #[test]
    fn settings_that_cannot_be_carried_out_are_refused() {
        let error = |members, record| enrich(members, record).err().expect("refused");
        assert_eq!(
            error("{}", "{}"),
            "there is nothing to add: set `members`, `record` or both"
        );
        assert_eq!(
            error(r#"{"id":1}"#, "{}"),
            "every Evento has a member \"id\", so it can never be added: choose another name"
        );
        assert_eq!(
            error(r#"{"p":1}"#, r#"{"p":"partition"}"#),
            "\"p\" is both in `members` and in `record`: take it out of one"
        );
        assert_eq!(
            error("{}", r#"{"p":"partitoin"}"#),
            "its settings do not fit: `record`: unknown variant `partitoin`, expected one of `topic`, `partition`, `offset`, `timestamp`"
        );
    }
}
