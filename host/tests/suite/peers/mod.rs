//! A group of several daemons: each serves `GET /messages` for the whole group, and reports the partitions that it cannot
//! cover.

mod alone;
mod encrypted;
pub(crate) mod lies;
mod pages;
mod partial;
pub(crate) mod proofs;
mod secret;
mod strangers;
mod whole;

use eventos_testkit::{Answer, Broker, Daemon, Setup, create_topic, eventually, produce};
use rdkafka::producer::BaseRecord;
use serde_json::Value;

use crate::EVENTOS;

/// Partitions of the topic. The daemons cannot share them out equally.
const PARTITIONS: i32 = 7;
const ALL: &str = "0-6";

/// Configuration of a group that soon notices when a member is killed.
const QUICK: &str = "[kafka.properties]\n\"session.timeout.ms\" = \"6000\"";

/// Daemons of one group that consume one topic.
struct Group {
    setups: Vec<Setup>,
    daemons: Vec<Daemon>,
}

impl Group {
    /// Starts `count` daemons and waits until each serves the whole group. If they use the built-in broker, it is that of the
    /// first daemon.
    fn start(broker: Broker, count: usize) -> Self {
        let mut group = Self::with_one(broker, QUICK);
        for _ in 1..count {
            let setup = group.another(broker, QUICK);
            group.join(setup);
        }
        group.wait_until_whole();
        group
    }

    fn with_one(broker: Broker, more: &str) -> Self {
        Self::with_one_and(broker, more, &[])
    }

    /// Starts one daemon with these environment variables.
    fn with_one_and(broker: Broker, more: &str, environment: &[(&str, &str)]) -> Self {
        let mut setup = Setup::new(EVENTOS, broker, &["store"], more);
        for (name, value) in environment {
            setup.set_env(name, value);
        }
        setup.set_env("EVENTOS__EMBEDDED__PARTITIONS", &PARTITIONS.to_string());
        if broker == Broker::Kafka {
            create_topic(&setup.servers, &setup.topic(), PARTITIONS);
        }
        let daemons = vec![setup.start()];
        let setups = vec![setup];
        Self { setups, daemons }
    }

    /// Prepares another member of the group.
    fn another(&self, broker: Broker, more: &str) -> Setup {
        let mut setup = Setup::new(EVENTOS, broker, &["store"], more);
        setup.servers = self.daemons[0].broker().to_owned();
        setup.name.clone_from(&self.setups[0].name);
        setup
    }

    fn join(&mut self, setup: Setup) {
        self.daemons.push(setup.start());
        self.setups.push(setup);
    }

    fn wait_until_whole(&self) {
        for daemon in &self.daemons {
            eventually("an answer for all partitions", || {
                daemon.get("/messages?limit=1").is_whole().then_some(())
            });
        }
    }

    /// Waits until every daemon reports exactly `count` Eventos for this query; more than that is an error.
    fn wait_for_total(&self, query: &str, count: usize) {
        for daemon in &self.daemons {
            eventually(&format!("{count} Eventos on each daemon"), || {
                let total = daemon.get(&format!("/messages{query}")).total();
                assert!(total <= count, "{total} of {count}");
                (total == count).then_some(())
            });
        }
    }
}

/// What the tests check of an answer with Eventos of the whole group.
trait GroupAnswer {
    /// Returns whether the answer covers all partitions and reports none as missing.
    fn is_whole(&self) -> bool;

    /// Returns all reasons why the answer is partial, a line each.
    fn reasons(&self) -> String;

    /// Checks that the covered and the missing partitions together are all that there are.
    fn assert_partial(&self);

    /// Returns the number of all Eventos that match the query.
    fn total(&self) -> usize;

    /// Returns the ids of the Eventos on this page.
    fn ids(&self) -> Vec<String>;

    /// Returns the cursor after this page, which the last page has, too.
    fn cursor(&self) -> &str;
}

impl GroupAnswer for Answer {
    fn is_whole(&self) -> bool {
        let said = ["x-partitions-missing", "x-missing-reason"].map(|name| self.header(name));
        let covered = self.header("x-partitions-covered");
        covered == Some(ALL) && said == [None, None]
    }

    fn reasons(&self) -> String {
        let all = self.headers.get_all("x-missing-reason").iter();
        let texts: Vec<_> = all.map(|text| text.to_str().expect("ASCII")).collect();
        texts.join("\n")
    }

    #[track_caller]
    fn assert_partial(&self) {
        assert_eq!(self.status, 200, "{}", self.text);
        let list = |name| self.header(name).expect("a partial answer");
        let names = [list("x-partitions-covered"), list("x-partitions-missing")];
        let mut all: Vec<_> = names.into_iter().flat_map(partitions).collect();
        all.sort_unstable();
        assert_eq!(all, (0..PARTITIONS).collect::<Vec<_>>(), "{names:?}");
        assert_eq!(self.header("x-partitions"), Some("7"));
        assert_ne!(self.reasons(), "");
    }

    fn total(&self) -> usize {
        let total = self.header("x-total-count").expect("a count");
        total.parse().expect("a number")
    }

    fn ids(&self) -> Vec<String> {
        let eventos: Vec<Value> = serde_json::from_str(&self.text).expect("JSON");
        let id = |evento: Value| evento["id"].as_str().expect("a text").to_owned();
        eventos.into_iter().map(id).collect()
    }

    fn cursor(&self) -> &str {
        self.header("x-next-cursor").expect("a cursor")
    }
}

/// Produces Eventos to all partitions in turn. Their timestamps are the milliseconds that follow `since`.
fn spread(group: &Group, since: i64, eventos: &[String]) {
    let topic = group.setups[0].topic();
    let records = (0..).zip(eventos).map(|(i, evento)| {
        BaseRecord::to(&topic)
            .partition(i % PARTITIONS)
            .timestamp(since + 1 + i64::from(i))
            .payload(evento.as_bytes())
    });
    produce(group.daemons[0].broker(), records);
}

/// Makes `count` Eventos with the ids `a-0`, `a-1` and so on. Parsing and writing one again would change its text.
fn eventos(name: &str, tipo: &str, count: usize) -> Vec<String> {
    let evento =
        |i| format!(r#"{{ "tipo":"{tipo}", "n":{i}.10e0,"id" : "{name}-{i}","é":"\u00e9/\/" }}"#);
    (0..count).map(evento).collect()
}

/// Parses a list of partitions such as `0-2,5`; `-` is the empty list.
fn partitions(text: &str) -> Vec<i32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<i32>().expect("a number");
        number(first)..=number(last)
    };
    let parts = text.split(',').filter(|&part| part != "-");
    parts.flat_map(range).collect()
}
