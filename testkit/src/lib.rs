//! What the tests and benches share: [`Daemon`]s as users run them, other [`Program`]s, [clients](kafka) of the broker,
//! [waiting](wait) for a condition, [fuzzing](fuzz) for a moment, and [measuring](measure).
//!
//! The tests get a real Apache Kafka, the components and the Python environment from `cargo xtask`, which hands them over in
//! environment variables and in `target/`. If one is missing, the test fails with a message that says so; it is never
//! skipped.

mod answer;
mod background;
mod certificates;
mod daemon;
mod faulty_disk;
mod files;
pub mod fuzz;
pub mod kafka;
mod kafka_node;
pub mod measure;
mod ports;
mod preload;
mod program;
pub mod raw;
mod received;
mod setup;
pub mod wait;
mod wrong_clock;

pub use answer::Answer;
pub use background::{Background, StopFlag};
pub use certificates::{Authority, Issued, async_client, blocking_client};
pub use daemon::Daemon;
pub use faulty_disk::{DiskFault, FaultyDisk};
pub use files::{handler, provided, root, sismos};
pub use kafka::{
    Broker, IdleMember, TestProducer, add_partitions, alter_topic, commit_offsets,
    committed_offsets, create_topic, create_topic_with, delete_records, delete_topic,
    describe_group, end_offsets, partition_count, produce, read_topic, recreate_topic,
    wait_until_committed, wait_until_settled,
};
pub use kafka_node::KafkaNode;
pub use ports::free_port;
pub use program::{Program, json_lines, python, run_subcommand};
pub use received::{ReceivedRecord, header_list, headers};
pub use setup::Setup;
pub use wait::{DEADLINE, eventually, eventually_every};
pub use wrong_clock::WrongClock;
