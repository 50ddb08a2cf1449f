//! Apache Kafka's own command-line tools, and with them its Java clients. Every call starts a JVM, which takes a second of CPU time, so
//! the tests with other clients cover the details.

use std::{fs, process::Command};

use eventos_testkit::{
    Daemon, Program, ReceivedRecord, committed_offsets, describe_group, end_offsets, eventually,
    json_lines, provided, read_topic,
};
use rdkafka::{Message, message::OwnedMessage};
use serde_json::{Value, json};

use super::{daemon, members};

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const CONFIGS: &str = "kafka.admin.ConfigCommand";
const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";

/// Runs a tool, given by its class, on the daemon's broker. Returns its output.
fn tool(daemon: &Daemon, class: &str, arguments: &[&str]) -> String {
    tool_reading("", daemon, class, arguments)
}

/// Runs a tool like [`tool`], with this standard input.
fn tool_reading(input: &str, daemon: &Daemon, class: &str, arguments: &[&str]) -> String {
    let jars = format!("{}/*", provided("EVENTOS_TEST_KAFKA_JARS"));
    let mut java = Command::new("java");
    // These options make the JVM start faster. Without a configuration, log4j writes only errors, to standard output.
    java.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    java.args(["-cp", &jars, class, "--bootstrap-server", daemon.broker()]);
    Program::run(java.args(arguments), input)
}

/// Splits every line into words.
fn table(text: &str) -> Vec<Vec<&str>> {
    let words = |line| str::split_whitespace(line).collect();
    text.lines().map(words).collect()
}

/// Returns the JSON objects, one per line, whose `name` is this.
fn named(name: &str, text: &str) -> Vec<Value> {
    let mut lines = json_lines(text);
    lines.retain(|line| line["name"] == name);
    lines
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

#[test]
fn a_topic_is_created_with_settings_and_changed_and_deleted() {
    let (setup, daemon) = daemon();
    let topics = |arguments: &[&str]| tool(&daemon, TOPICS, arguments);
    let configs = |arguments: &[&str]| tool(&daemon, CONFIGS, arguments);

    let new = ["--create", "--topic", "made", "--partitions", "2"];
    let settings = ["retention.ms=3600000", "cleanup.policy=compact"];
    let settings = settings.map(|setting| ["--config", setting]).concat();
    let created = topics(&[&new[..], &settings].concat());
    assert_eq!(created, "Created topic made.");

    topics(&["--alter", "--topic", "made", "--partitions", "3"]);
    assert_eq!(end_offsets(daemon.broker(), "made"), [0, 0, 0]);
    let of = ["--entity-type", "topics", "--entity-name", "made"];
    let change = ["--add-config", "max.message.bytes=1234567"];
    let back = ["--delete-config", "cleanup.policy"];
    let altered = configs(&[&["--alter"], &of[..], &change, &back].concat());
    assert_eq!(altered, "Completed updating config for topic made.");

    let described = configs(&[&["--describe"], &of[..]].concat());
    let described: Vec<_> = table(&described).iter().map(|words| words[0]).collect();
    let changed = ["max.message.bytes=1234567", "retention.ms=3600000"];
    assert_eq!(described, [&["Dynamic"], &changed[..]].concat());

    let by_name = topics(&["--describe", "--topic", "made"]);
    let described = table(&by_name);
    assert_eq!(described.len(), 1 + 3, "{described:?}");
    let head = described[0].join(" ");
    assert!(
        head.contains("PartitionCount: 3 ReplicationFactor: 1"),
        "{head}"
    );
    assert!(changed.iter().all(|set| head.contains(set)), "{head}");
    assert!(!head.contains("cleanup.policy"), "{head}");
    for (i, partition) in described[1..].iter().enumerate() {
        let expected = format!("Topic: made Partition: {i} Leader: 1 Replicas: 1 Isr: 1");
        assert!(partition.join(" ").starts_with(&expected), "{partition:?}");
    }

    let id = described[0].iter().skip_while(|word| **word != "TopicId:");
    let id = id.copied().nth(1).expect("an id");
    // With the id, Java sends an empty name. This request does not return eligible leader replicas.
    let by_id = topics(&["--describe", "--topic-id", id]).replace("N/A", "");
    assert_eq!(table(&by_id), described);

    topics(&["--delete", "--topic", "made"]);
    let listed = topics(&["--list", "--exclude-internal"]);
    let mut remaining = [setup.topic(), setup.dead_letter_topic()];
    remaining.sort();
    assert_eq!(listed.lines().collect::<Vec<_>>(), remaining);
}

#[test]
fn what_the_console_sends_is_stored_and_a_group_receives_it_and_is_reset_and_deleted() {
    let (setup, daemon) = daemon();
    let (broker, topic) = (daemon.broker(), setup.topic());
    let input = "a:1,a:2,b:\tk1\t{\"id\":\"1\",\"tipo\":\"java\"}\n\
                 a:1\testación\t{\"id\":\"2\",\"tipo\":\"java\"}\n\
                 c:3\tk3\t{\"id\":\"3\",\"tipo\":\"java\"}\n";
    let read = ["parse.key=true", "parse.headers=true"];
    let read = read.map(|property| ["--reader-property", property]);
    let produce = ["--topic", &topic, "--compression-codec", "zstd"];
    let class = "org.apache.kafka.tools.ConsoleProducer";
    let arguments = [&produce[..], &read.concat()].concat();
    tool_reading(input, &daemon, class, &arguments);
    assert_eq!(members("id", &daemon.wait_for_messages(3)), ["1", "2", "3"]);

    let print = [
        "print.partition=true",
        "print.offset=true",
        "print.headers=true",
        "print.key=true",
    ];
    let print = print.map(|property| ["--formatter-property", property]);
    let consume = ["--topic", &topic, "--group", "console", "--from-beginning"];
    let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    let arguments = [&consume[..], &["--max-messages", "3"], &print.concat()].concat();
    let consumed = tool(&daemon, class, &arguments);
    let mut consumed: Vec<_> = consumed.lines().collect();
    consumed.sort_unstable();
    let lines = read_topic(broker, &topic).into_iter();
    let mut lines: Vec<_> = lines.map(as_the_console_prints).collect();
    lines.sort();
    assert_eq!(consumed, lines);

    let ends = end_offsets(broker, &topic);
    assert_eq!(committed_offsets(broker, "console", &topic), ends);
    let described = tool(&daemon, GROUPS, &["--describe", "--group", "console"]);
    let mut described = table(&described);
    described.retain(|line| line.first() == Some(&"console"));
    assert_eq!(described.len(), ends.len());
    for (i, (line, end)) in described.iter().zip(&ends).enumerate() {
        let expected = format!("console {topic} {i} {end} {end} 0 - - -");
        assert_eq!(line.join(" "), expected);
    }

    let reset = ["--reset-offsets", "--to-earliest", "--execute"];
    let of = ["--group", "console", "--topic", &topic];
    let reset = tool(&daemon, GROUPS, &[&reset[..], &of].concat());
    let reset = table(&reset);
    let reset = reset.iter().filter(|line| line.last() == Some(&"0"));
    assert_eq!(reset.count(), ends.len());
    let from_the_start = vec![0; ends.len()];
    assert_eq!(committed_offsets(broker, "console", &topic), from_the_start);
    assert_eq!(describe_group(broker, "console"), ("Empty".to_owned(), 0));

    let deleted = tool(&daemon, GROUPS, &["--delete", "--group", "console"]);
    assert!(deleted.contains("'console'"), "{deleted}");
    let listed = tool(&daemon, GROUPS, &["--list", "--state"]);
    let expected = [vec!["GROUP", "STATE"], vec![&*setup.name, "Stable"]];
    assert_eq!(table(&listed), expected);
}

fn as_the_console_prints(record: OwnedMessage) -> String {
    let record = ReceivedRecord::from(record);
    let headers = record.headers.iter();
    let headers = headers.map(|(name, value)| format!("{name}:{}", text(value.as_deref())));
    let headers = headers.collect::<Vec<_>>().join(",");
    let (key, value) = (text(record.key.as_deref()), record.text());
    let (partition, offset) = (record.partition, record.offset);
    format!("Partition:{partition}\tOffset:{offset}\t{headers}\t{key}\t{value}")
}

#[test]
fn the_verifiable_programs_verify_and_offsets_are_got_and_records_deleted() {
    let (setup, daemon) = daemon();
    let (broker, topic) = (daemon.broker(), setup.topic());
    let of = ["--topic", &topic];
    let produce = ["--max-messages", "20", "--repeating-keys", "5"];
    let class = "org.apache.kafka.tools.VerifiableProducer";
    let sent = tool(&daemon, class, &[&of[..], &produce].concat());
    let mut sent = named("producer_send_success", &sent);
    sent.sort_by_key(|one| (one["partition"].as_i64(), one["offset"].as_i64()));
    let sent: Vec<_> = sent
        .iter()
        .map(|one| json!([one["partition"], one["offset"], one["value"]]))
        .collect();
    let there = || -> Vec<_> {
        let position = |record: &OwnedMessage| {
            json!([record.partition(), record.offset(), text(record.payload())])
        };
        read_topic(broker, &topic).iter().map(position).collect()
    };
    assert_eq!((sent.len(), &sent), (20, &there()));
    // The values are numbers, which are not valid Eventos.
    let dead = || (setup.read_dead_letters(&daemon).len() == 20).then_some(());
    eventually("every number to be a dead letter", dead);

    let consume = ["--group-id", "verifiable", "--max-messages", "20"];
    let class = "org.apache.kafka.tools.VerifiableConsumer";
    let earliest = ["--reset-policy", "earliest"];
    let seen = tool(&daemon, class, &[&of[..], &consume, &earliest].concat());
    let counts = named("records_consumed", &seen);
    let counts = counts.iter().filter_map(|some| some["count"].as_u64());
    assert_eq!(counts.sum::<u64>(), 20);
    let commits = named("offsets_committed", &seen);
    assert!(commits.iter().all(|commit| commit["success"] == true));
    let ends = end_offsets(broker, &topic);
    assert_eq!(committed_offsets(broker, "verifiable", &topic), ends);

    let got = tool(&daemon, "org.apache.kafka.tools.GetOffsetShell", &of);
    let line = |(i, end)| format!("{topic}:{i}:{end}");
    let expected: Vec<_> = ends.iter().enumerate().map(line).collect();
    assert_eq!(got.lines().collect::<Vec<_>>(), expected);

    // Each key was sent four times, so a partition with records has at least four.
    let partition = &sent[0][0];
    let delete = json!({"version": 1, "partitions": [
        {"topic": topic, "partition": partition, "offset": 3},
    ]});
    let path = setup.dir.path().join("delete.json");
    fs::write(&path, delete.to_string()).expect("the file is written");
    let path = path.to_str().expect("UTF-8");
    let class = "org.apache.kafka.tools.DeleteRecordsCommand";
    let deleted = tool(&daemon, class, &["--offset-json-file", path]);
    let expected = format!("partition: {topic}-{partition}\tlow_watermark: 3");
    assert!(deleted.lines().any(|line| line == expected), "{deleted}");
    assert_eq!(there(), sent[3..]);
}

#[test]
fn a_transactional_producer_commits_and_its_transactions_are_listed() {
    let (setup, daemon) = daemon();
    let path = setup.dir.path().join("payload");
    fs::write(&path, r#"{"id":"1","tipo":"java"}"#).expect("the file is written");
    let payload = ["--payload-file", path.to_str().expect("UTF-8")];
    let topic = setup.topic();
    let records = ["--topic", &topic, "--num-records", "100"];
    let unthrottled = ["--throughput", "-1"];
    // It commits a transaction after this time.
    let transactions = [
        "--transactional-id",
        "perf",
        "--transaction-duration-ms",
        "1",
    ];
    let class = "org.apache.kafka.tools.ProducerPerformance";
    let arguments = [&records[..], &unthrottled, &payload, &transactions].concat();
    let sent = tool(&daemon, class, &arguments);
    assert!(sent.contains("100 records sent"), "{sent}");
    // The daemon reads only committed records.
    daemon.wait_for_messages(100);

    let class = "org.apache.kafka.tools.TransactionsCommand";
    let listed = tool(&daemon, class, &["list"]);
    let listed = table(&listed);
    let [_head, perf] = &listed[..] else {
        panic!("{listed:?}")
    };
    assert_eq!((perf[0], perf[3]), ("perf", "CompleteCommit"));
}

/// Kafka's client knows the newest version of every API that the broker offers.
#[test]
fn every_api_that_is_offered_is_usable_in_its_newest_version() {
    let (_setup, daemon) = daemon();
    let class = "org.apache.kafka.tools.BrokerApiVersionsCommand";
    let output = tool(&daemon, class, &[]);
    let broker = daemon.broker();
    let head = format!("{broker} (id: 1 rack: null isFenced: false) -> (");
    assert_eq!(output.lines().next(), Some(&*head));
    assert!(!output.contains("UNKNOWN"), "{output}");
    let offers = output
        .lines()
        .filter_map(|line| line.split_once(" [usable: "));
    let offers: Vec<_> = offers.collect();
    // The list goes from Produce to DescribeTopicPartitions.
    assert!(offers.len() > 30, "{output}");
    for (offer, usable) in offers {
        let newest = offer.rsplit(' ').next();
        assert_eq!(newest, usable.split(']').next(), "{offer}");
    }
}
