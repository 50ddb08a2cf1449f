//! Several daemons in one group: each answers `GET /messages` for all of them, and says so where it cannot.

mod alone;
mod pages;
mod partial;
mod strangers;
mod whole;

use eventos_testkit::{Broker, Daemon, Setup, create_topic, eventually, produce};
use rdkafka::producer::BaseRecord;
use reqwest::{StatusCode, blocking::Response, header::HeaderMap};
use serde_json::Value;

use crate::EVENTOS;

/// The partitions of the topic: not as many as daemons, and not a multiple of them.
const PARTITIONS: i32 = 7;
const ALL: &str = "0-6";

/// A group notices quickly that a member was killed.
const QUICK: &str = "[kafka.properties]\n\"session.timeout.ms\" = \"6000\"";

/// Daemons of one group on one topic.
struct Group {
    setups: Vec<Setup>,
    daemons: Vec<Daemon>,
}

impl Group {
    /// Starts so many and waits until each answers for all. With the broker inside it is that of the first.
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
        let mut setup = Setup::new(EVENTOS, broker, &["store"], more);
        setup.set("EVENTOS__EMBEDDED__PARTITIONS", &PARTITIONS.to_string());
        if broker == Broker::Kafka {
            create_topic(&setup.servers, &setup.topic(), PARTITIONS);
        }
        let daemons = vec![setup.start()];
        let setups = vec![setup];
        Self { setups, daemons }
    }

    /// What another of the group is started with.
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
                get(daemon, "/messages?limit=1").is_whole().then_some(())
            });
        }
    }

    /// Waits until each of them counts so many Eventos for this query.
    fn wait_for_total(&self, query: &str, count: usize) {
        for daemon in &self.daemons {
            eventually(&format!("{count} Eventos on each"), || {
                let total = get(daemon, &format!("/messages{query}")).total();
                assert!(total <= count, "{total} of {count}");
                (total == count).then_some(())
            });
        }
    }
}

/// An answer, read.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name);
        value.map(|value| value.to_str().expect("ASCII"))
    }

    /// Whether it says that it covers everything, and nothing else.
    fn is_whole(&self) -> bool {
        let said = ["x-partitions-missing", "x-missing-reason"].map(|name| self.header(name));
        let covered = self.header("x-partitions-covered");
        covered == Some(ALL) && said == [None, None]
    }

    /// Every reason why it is partial, joined.
    fn reasons(&self) -> String {
        let all = self.headers.get_all("x-missing-reason").iter();
        let texts: Vec<_> = all.map(|text| text.to_str().expect("ASCII")).collect();
        texts.join("\n")
    }

    /// Fails unless covered and missing partitions are all there are.
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

    fn eventos(&self) -> Vec<Value> {
        serde_json::from_str(&self.text).expect("JSON")
    }

    fn ids(&self) -> Vec<String> {
        let id = |evento: Value| evento["id"].as_str().expect("a text").to_owned();
        self.eventos().into_iter().map(id).collect()
    }

    /// What to ask for to go on, in any case.
    fn cursor(&self) -> &str {
        self.header("x-next-cursor").expect("a cursor")
    }

    /// Where the header `Link` points to.
    fn next(&self) -> Option<String> {
        let link = self.header("link")?.strip_prefix('<')?;
        let link = link.strip_suffix(">; rel=\"next\"");
        Some(link.expect("a link to the next page").to_owned())
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self {
            status: response.status(),
            headers: response.headers().clone(),
            text: response.text().expect("a whole body"),
        }
    }
}

fn get(daemon: &Daemon, path: &str) -> Answer {
    let request = daemon.client().get(daemon.url(path));
    request.send().expect("answered").into()
}

/// Sends Eventos over HTTP, and waits until all are acknowledged.
fn send_all(daemon: &Daemon, eventos: &[String]) {
    let request = daemon.client().post(daemon.url("/send/batch"));
    let request = request.header("content-type", "application/x-ndjson");
    let answer = request.body(eventos.join("\n")).send().expect("answered");
    let answer = answer.text().expect("a body");
    assert_eq!(answer.matches("message sent").count(), eventos.len());
}

/// Puts Eventos into all partitions in turn, a millisecond apart, after this one (0 is librdkafka's word for now).
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

/// `{"id":"a-0",…}` and so on. Written so that a text that was parsed and written again would look otherwise.
fn eventos(name: &str, tipo: &str, count: usize) -> Vec<String> {
    let evento =
        |i| format!(r#"{{ "tipo":"{tipo}", "n":{i}.10e0,"id" : "{name}-{i}","é":"\u00e9/\/" }}"#);
    (0..count).map(evento).collect()
}

/// `0-2,5` as numbers; `-` is none.
fn partitions(text: &str) -> Vec<i32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<i32>().expect("a number");
        number(first)..=number(last)
    };
    let parts = text.split(',').filter(|&part| part != "-");
    parts.flat_map(range).collect()
}
