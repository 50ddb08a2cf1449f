//! A group of several daemons: a replay that any of them receives rewinds the partitions of all.

use reqwest::Method;

use super::*;

const EXACTLY_ONCE: &[(&str, &str)] = &[("EVENTOS__DELIVERY__GUARANTEE", "exactly_once")];

/// Daemons of one group that consume one topic.
pub(super) struct Group {
    /// Setup of the first daemon.
    pub(super) setup: Setup,
    pub(super) daemons: Vec<Daemon>,
    /// Setups of the other daemons.
    others: Vec<Setup>,
}

impl Group {
    /// Starts `count` daemons with these environment variables, and waits until they have shared out the partitions and know
    /// each other.
    pub(super) fn start(broker: Broker, count: usize, variables: &[(&str, &str)]) -> Self {
        let group = Self::starting(broker, count, variables);
        group.wait_until_shared();
        group
    }

    /// Starts `count` daemons with these environment variables, and does not wait until they have shared out the partitions.
    pub(super) fn starting(broker: Broker, count: usize, variables: &[(&str, &str)]) -> Self {
        let with_variables = |mut setup: Setup| {
            for (name, value) in variables {
                setup.set_env(name, value);
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
            let mut other = Setup::new(EVENTOS, broker, &["probe", "store"], "");
            other.name.clone_from(&group.setup.name);
            configure_emitting(&mut other);
            other.servers = group.daemons[0].broker().to_owned();
            let other = with_variables(other);
            group.daemons.push(other.start());
            group.others.push(other);
        }
        group
    }

    /// Starts a group as [`Group::start`] does, and has it handle and commit this number of Eventos.
    pub(super) fn filled(
        broker: Broker,
        count: usize,
        variables: &[(&str, &str)],
        eventos: i32,
    ) -> Self {
        let group = Self::start(broker, count, variables);
        fill(&group.setup, &group.daemons[0], 0..eventos);
        for daemon in &group.daemons {
            daemon.wait_for_messages(usize::try_from(eventos).expect("a count"));
        }
        group.wait_until_committed();
        group
    }

    /// Waits until each daemon has some of the partitions, and until a replay reaches all of them. It starts at an offset after the
    /// end, so that it changes nothing.
    pub(super) fn wait_until_shared(&self) {
        eventually("some partitions for each daemon", || {
            let parts: Vec<_> = self.daemons.iter().map(covered_partitions).collect();
            let each_has_some = parts.iter().all(|part| part != "-");
            let one_has_all = parts.len() > 1 && parts.iter().any(|part| part == "0-3");
            (each_has_some && !one_has_all).then_some(())
        });
        for daemon in &self.daemons {
            eventually("a replay to reach every partition", || {
                (post_replay(daemon, "from=4000").status == 200).then_some(())
            });
        }
    }

    pub(super) fn wait_until_committed(&self) {
        self.setup.wait_until_committed(&self.daemons[0]);
    }

    /// Returns the number of records that the daemons have consumed together.
    pub(super) fn consumed(&self) -> f64 {
        let each = self.daemons.iter();
        each.map(|daemon| daemon.metric_sum("eventos_consumed_total"))
            .sum()
    }

    /// Waits until the daemons together have consumed exactly `count` records; more than that is an error.
    pub(super) fn wait_for_consumed(&self, count: f64) {
        eventually(&format!("{count} consumed records"), || {
            let consumed = self.consumed();
            assert!(consumed < count + 0.5, "{consumed} are consumed");
            (consumed > count - 0.5).then_some(())
        });
    }
}

/// Returns the partitions that a daemon has and whose view is restored.
fn covered_partitions(daemon: &Daemon) -> String {
    let answer = daemon.get("/peers/messages?partitions=0-3&limit=1");
    let covered = answer.header("x-partitions-covered");
    covered.expect("the header").to_owned()
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
        assert_eq!(outcomes(&dry), [("would_be_rewound", Some(10), Some(0)); 4]);
        let answer = replay(daemon, "from=earliest");
        assert_eq!(answer["records"], 40);
        assert_eq!(outcomes(&answer), [("rewound", Some(10), Some(0)); 4]);
        let numbers = answer["partitions"].as_array().expect("an array").iter();
        assert!(
            numbers
                .map(|report| report["partition"].as_i64())
                .eq((0..4).map(Some))
        );
        consumed += 40.0;
        group.wait_for_consumed(consumed);
        group.wait_until_committed();
    }
    // A replay of one partition leaves the others where they are, whichever daemon has it.
    for partition in 0..PARTITIONS {
        let answer = replay(&group.daemons[0], &format!("from=7&partition={partition}"));
        assert_eq!(outcomes(&answer), [("rewound", Some(10), Some(7))]);
        consumed += 3.0;
        group.wait_for_consumed(consumed);
        group.wait_until_committed();
    }
    // The first record has the time 22:13:20, and record 36 is the last one in partition 0.
    let answer = replay(&group.daemons[2], "from=2023-11-14T22:13:56Z");
    assert_eq!(outcomes(&answer), [("rewound", Some(10), Some(9)); 4]);
    group.wait_for_consumed(consumed + 4.0);
    group.wait_until_committed();
    for daemon in &group.daemons {
        assert_eq!(daemon.messages(""), before, "each is stored once");
    }
    let emitted = read_topic(group.daemons[0].broker(), &output(&group.setup));
    let replayed = 3 * 40 + 4 * 3 + 4;
    assert_eq!(
        emitted.len(),
        40 + replayed,
        "replayed records are emitted again"
    );
}

#[test]
fn from_the_command_line_the_whole_group_is_rewound() {
    let group = Group::filled(Broker::Embedded, 2, &[], 8);
    let consumed = group.consumed();
    for (i, daemon) in (1..).zip(&group.daemons) {
        let (code, out, err) = run_replay(daemon, &["--from", "1"]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let line = |p| format!("partition {p}: rewound from 2 to 1, 1 records\n");
        let lines: String = (0..PARTITIONS).map(line).collect();
        assert_eq!(out, lines + "4 records will be processed again\n");
        group.wait_for_consumed(consumed + f64::from(4 * i));
        group.wait_until_committed();
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
    wait_for_numbered_messages(&group.daemons[1], 3_000);
    group.wait_until_committed();
}

/// A daemon that gets a replay from a peer does not pass it on, so no replay goes round in circles.
#[test]
fn what_one_is_told_by_another_it_does_with_its_own_part() {
    const MEDIA_TYPE: &str = "application/vnd.eventos.replay-1+json";
    let group = Group::filled(Broker::Embedded, 2, &[], 40);
    let (first, second) = (&group.daemons[0], &group.daemons[1]);
    let post = |media_type: &str, body: &str| first.post_body("/peers/replay", media_type, body);
    let consumed = || [first, second].map(|daemon| daemon.metric_sum("eventos_consumed_total"));
    let before = consumed();
    let all = r#"{"0":9,"1":9,"2":9,"3":9,"7":0}"#;
    let reports = post(MEDIA_TYPE, all).assert_status(200).json();
    let reports = reports.as_array().expect("an array");
    assert_eq!(reports.len(), 5);
    let with_status = |status: &str| {
        let reports = reports.iter();
        reports.filter(|report| report["status"] == status).count()
    };
    assert_eq!(with_status("rewound"), 2, "{reports:?}");
    assert_eq!(with_status("elsewhere"), 3, "{reports:?}");
    eventually("the daemon to handle its own partitions again", || {
        (consumed()[0] > before[0] + 1.5).then_some(())
    });
    group.wait_until_committed();
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
        let problem = post(media_type, body).assert_status(code).json();
        assert!(
            problem["detail"].as_str().expect("a text").contains(says),
            "{problem}"
        );
    }
    let request = first.request(Method::POST, "/peers/replay");
    let request = request.header("content-type", MEDIA_TYPE).body("{}");
    let request = request.header("origin", "http://elsewhere.example");
    let answer = request.send().expect("the daemon answers");
    assert_eq!(answer.status(), 403);
}
