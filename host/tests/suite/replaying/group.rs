//! Several daemons in one group: any of them rewinds all of it.

use eventos_testkit::ask_from_a_shell;

use super::*;
use crate::EVENTOS;

const EXACTLY_ONCE: &[(&str, &str)] = &[("EVENTOS__DELIVERY__GUARANTEE", "exactly_once")];

/// Daemons of one group on one topic.
pub(super) struct Group {
    pub(super) setup: Setup,
    pub(super) daemons: Vec<Daemon>,
    /// The folders of all but the first.
    others: Vec<Setup>,
}

impl Group {
    /// Starts so many, each with these variables set, and waits until each has a part and knows of the others.
    pub(super) fn start(broker: Broker, count: usize, variables: &[(&str, &str)]) -> Self {
        let group = Self::starting(broker, count, variables);
        group.wait_until_shared();
        group
    }

    /// The same, while they may still be sharing out.
    pub(super) fn starting(broker: Broker, count: usize, variables: &[(&str, &str)]) -> Self {
        let with_variables = |mut setup: Setup| {
            for (name, value) in variables {
                setup.set(name, value);
            }
            setup
        };
        let setup = with_variables(setup(broker));
        let daemons = vec![setup.start()];
        let mut group = Self {
            setup,
            daemons,
            others: Vec::new(),
        };
        for _ in 1..count {
            let other = Setup::new(EVENTOS, broker, &["probe", "store"], "");
            let mut other = named(other, Some(&group.setup.name));
            other.servers = group.daemons[0].broker().to_owned();
            let other = with_variables(other);
            group.daemons.push(other.start());
            group.others.push(other);
        }
        group
    }

    /// The same, with so many Eventos that were handled and committed.
    pub(super) fn filled(
        broker: Broker,
        count: usize,
        variables: &[(&str, &str)],
        eventos: i32,
    ) -> Self {
        let group = Self::start(broker, count, variables);
        fill(&group.setup, &group.daemons[0], 0..eventos);
        for daemon in &group.daemons {
            daemon.wait_for_messages(usize::try_from(eventos).expect("few"));
        }
        group.wait_for_committed();
        group
    }

    /// Waits until each has a part of the partitions, and a replay that goes back to nowhere finds all of them.
    pub(super) fn wait_until_shared(&self) {
        eventually("a part for each", || {
            let parts: Vec<_> = self.daemons.iter().map(covered).collect();
            let each = parts.iter().all(|part| part != "-");
            let one_has_all = parts.len() > 1 && parts.iter().any(|part| part == "0-3");
            (each && !one_has_all).then_some(())
        });
        for daemon in &self.daemons {
            eventually("all to be found", || {
                (ask(daemon, "/replay?from=4000").0 == 200).then_some(())
            });
        }
    }

    pub(super) fn wait_for_committed(&self) {
        wait_for_committed(&self.setup, &self.daemons[0]);
    }

    pub(super) fn consumed(&self) -> f64 {
        let each = self.daemons.iter();
        each.map(|daemon| daemon.sum("eventos_consumed_total"))
            .sum()
    }

    /// Waits until all of them together have consumed so many, no fewer and no more.
    pub(super) fn wait_for_consumed(&self, count: f64) {
        eventually(&format!("{count} consumed records"), || {
            let consumed = self.consumed();
            assert!(consumed < count + 0.5, "{consumed} are consumed");
            (consumed > count - 0.5).then_some(())
        });
    }
}

/// The partitions that a daemon has, and whose view is whole.
pub(super) fn covered(daemon: &Daemon) -> String {
    let path = daemon.url("/peers/messages?partitions=0-3&limit=1");
    let answer = daemon.client().get(path).send().expect("answered");
    let covered = answer.headers()["x-partitions-covered"].to_str();
    covered.expect("ASCII").to_owned()
}

#[test]
fn any_of_three_rewinds_all_partitions_with_the_broker_inside() {
    any_of_three_rewinds_all_partitions(Broker::Embedded, &[]);
}

#[test]
fn any_of_three_rewinds_all_partitions_with_kafka() {
    any_of_three_rewinds_all_partitions(Broker::Kafka, &[]);
}

#[test]
fn any_of_three_rewinds_all_partitions_exactly_once_with_the_broker_inside() {
    any_of_three_rewinds_all_partitions(Broker::Embedded, EXACTLY_ONCE);
}

#[test]
fn any_of_three_rewinds_all_partitions_exactly_once_with_kafka() {
    any_of_three_rewinds_all_partitions(Broker::Kafka, EXACTLY_ONCE);
}

fn any_of_three_rewinds_all_partitions(broker: Broker, variables: &[(&str, &str)]) {
    let group = Group::filled(broker, 3, variables, 40);
    let before = group.daemons[0].messages("");
    let mut consumed = group.consumed();
    for daemon in &group.daemons {
        let dry = replay(daemon, "from=earliest&dry_run=true");
        assert_eq!(fates(&dry), [("would_be_rewound", Some(10), Some(0)); 4]);
        let answer = replay(daemon, "from=earliest");
        assert_eq!(answer["records"], 40);
        assert_eq!(fates(&answer), [("rewound", Some(10), Some(0)); 4]);
        let numbers = answer["partitions"].as_array().expect("an array").iter();
        assert!(
            numbers
                .map(|told| told["partition"].as_i64())
                .eq((0..4).map(Some))
        );
        consumed += 40.0;
        group.wait_for_consumed(consumed);
        group.wait_for_committed();
    }
    // One partition is rewound wherever it is, and the others stay.
    for partition in 0..PARTITIONS {
        let asked = &group.daemons[0];
        let answer = replay(asked, &format!("from=7&partition={partition}"));
        assert_eq!(fates(&answer), [("rewound", Some(10), Some(7))]);
        consumed += 3.0;
        group.wait_for_consumed(consumed);
        group.wait_for_committed();
    }
    // 22:13:20 and 36 seconds: the last in each partition.
    let answer = replay(&group.daemons[2], "from=2023-11-14T22:13:56Z");
    assert_eq!(fates(&answer), [("rewound", Some(10), Some(9)); 4]);
    group.wait_for_consumed(consumed + 4.0);
    group.wait_for_committed();
    for daemon in &group.daemons {
        assert_eq!(daemon.messages(""), before, "stored anew, not twice");
    }
    let emitted = read_topic(group.daemons[0].broker(), &out(&group.setup));
    let again = 3 * 40 + 4 * 3 + 4;
    assert_eq!(emitted.len(), 40 + again, "effects happen again");
}

#[test]
fn from_the_command_line_the_whole_group_is_rewound() {
    let group = Group::filled(Broker::Embedded, 2, &[], 8);
    let consumed = group.consumed();
    for (i, daemon) in (1..).zip(&group.daemons) {
        let (code, out, err) =
            ask_from_a_shell(EVENTOS, "replay", &daemon.url(""), &["--from", "1"]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let line = |p| format!("partition {p}: rewound from 2 to 1, 1 records\n");
        let lines: String = (0..PARTITIONS).map(line).collect();
        assert_eq!(out, lines + "4 records are handled again\n");
        group.wait_for_consumed(consumed + f64::from(4 * i));
        group.wait_for_committed();
    }
}

#[test]
fn replays_of_a_group_while_eventos_flow_lose_none_and_store_none_twice() {
    let group = Group::start(Broker::Embedded, 2, &[]);
    for (round, daemon) in (0..10).zip(group.daemons.iter().cycle()) {
        fill(&group.setup, daemon, round * 300..(round + 1) * 300);
        let from = [0, 17, 200][usize::try_from(round % 3).expect("small")];
        replay(daemon, &format!("from={from}"));
    }
    let stored = eventually("3,000 stored Eventos", || {
        let text = group.daemons[1].messages("?limit=20000");
        let stored: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        assert!(stored.len() <= 3_000, "{} are stored", stored.len());
        (stored.len() == 3_000).then_some(stored)
    });
    let ids = stored.iter().map(|evento| evento["id"].as_i64());
    assert!(ids.eq((0..3_000).map(Some)));
    group.wait_for_committed();
}

/// It is told for itself, and tells nobody, so no replay goes round.
#[test]
fn what_one_is_told_by_another_it_does_with_its_own_part() {
    const MEDIA_TYPE: &str = "application/vnd.eventos.replay-1+json";
    let group = Group::filled(Broker::Embedded, 2, &[], 40);
    let (first, second) = (&group.daemons[0], &group.daemons[1]);
    let tell = |media_type: &str, body: &str| {
        let request = first.client().post(first.url("/peers/replay"));
        let request = request.header("content-type", media_type);
        let answer = request.body(body.to_owned()).send().expect("answered");
        let status = answer.status();
        (status, answer.json::<Value>().expect("JSON"))
    };
    let consumed = || [first, second].map(|daemon| daemon.sum("eventos_consumed_total"));
    let before = consumed();
    let all = r#"{"0":9,"1":9,"2":9,"3":9,"7":0}"#;
    let (status, told) = tell(MEDIA_TYPE, all);
    assert_eq!(status, 200);
    let told = told.as_array().expect("an array");
    assert_eq!(told.len(), 5);
    let numbers: Vec<_> = told
        .iter()
        .filter(|told| told["status"] == "rewound")
        .map(|told| told["partition"].as_i64().expect("a number"))
        .collect();
    assert_eq!(numbers.len(), 2, "{told:?}");
    for told in told {
        let own = numbers.contains(&told["partition"].as_i64().expect("a number"));
        let expected = if own { "rewound" } else { "elsewhere" };
        assert_eq!(told["status"], expected, "{told}");
    }
    eventually("its own to be handled again", || {
        (consumed()[0] > before[0] + 1.5).then_some(())
    });
    group.wait_for_committed();
    assert_eq!(consumed(), [before[0] + 2.0, before[1]]);

    for (media_type, body, code, says) in [
        ("application/json", "{}", 415, MEDIA_TYPE),
        (MEDIA_TYPE, "", 400, "JSON"),
        (MEDIA_TYPE, "[]", 400, "invalid type"),
        (
            MEDIA_TYPE,
            r#"{"0":-1}"#,
            400,
            "partition 0 has no offset -1",
        ),
        (MEDIA_TYPE, r#"{"x":1}"#, 400, "x"),
    ] {
        let (status, problem) = tell(media_type, body);
        assert_eq!(status, code, "{problem}");
        assert!(
            problem["detail"].as_str().expect("a text").contains(says),
            "{problem}"
        );
    }
    let request = first.client().post(first.url("/peers/replay"));
    let request = request.header("content-type", MEDIA_TYPE).body("{}");
    let request = request.header("origin", "http://elsewhere.example");
    assert_eq!(request.send().expect("answered").status(), 403);
}
