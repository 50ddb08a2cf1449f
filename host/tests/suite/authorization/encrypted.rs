//! A Kafka whose clients log in with SCRAM over TLS.

use eventos_testkit::{Broker, Setup, eventually, produce, provided, read_topic};
use rdkafka::producer::BaseRecord;

use super::{evento, producing::send};
use crate::EVENTOS;

/// What a daemon sets to log in.
struct Login<'a> {
    protocol: &'a str,
    mechanism: &'a str,
    password: &'a str,
    trusts_authority: bool,
}

impl Login<'_> {
    const GOOD: Login<'static> = Login {
        protocol: "SASL_SSL",
        mechanism: "SCRAM-SHA-512",
        password: "secret",
        trusts_authority: true,
    };

    /// Prepares a daemon that logs in this way, as the user `operator`.
    fn setup(&self) -> Setup {
        let mut setup = Setup::new(EVENTOS, Broker::Kafka, &["store"], "");
        setup.servers = provided("EVENTOS_TEST_KAFKA_ENCRYPTED");
        setup.add_config(&format!(
            "[output]\ntopic = \"{name}-output\"\n\
             [kafka.properties]\n\"security.protocol\" = {protocol:?}\n\"sasl.mechanism\" = {mechanism:?}\n\
             \"sasl.username\" = \"operator\"\n\"sasl.password\" = {password:?}\n",
            name = setup.name,
            protocol = self.protocol,
            mechanism = self.mechanism,
            password = self.password,
        ));
        if self.trusts_authority {
            let authority = provided("EVENTOS_TEST_KAFKA_AUTHORITY");
            setup.add_config(&format!("\"ssl.ca.location\" = {authority:?}\n"));
        }
        setup.set_env("EVENTOS__KAFKA__CONNECT_RETRIES", "0");
        setup
    }

    /// Starts a daemon that cannot log in, and returns its last words.
    fn rejection(&self) -> String {
        let (status, log) = self.setup().start_listening().wait_for_exit();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(!log.contains("not-the-password"), "{log}");
        let error = log.lines().find(|line| line.starts_with("error: "));
        error
            .unwrap_or_else(|| panic!("no error: {log}"))
            .to_owned()
    }
}

#[test]
fn records_are_consumed_and_produced_with_either_mechanism_and_guarantee() {
    for (mechanism, guarantee) in [
        ("SCRAM-SHA-256", "at_least_once"),
        ("SCRAM-SHA-512", "exactly_once"),
    ] {
        let login = Login {
            mechanism,
            ..Login::GOOD
        };
        let mut setup = login.setup();
        setup.set_env("EVENTOS__DELIVERY__GUARANTEE", guarantee);
        let daemon = setup.start();
        let (topic, value) = (setup.topic(), evento("produced", "t").to_string());
        let record = BaseRecord::<[u8], [u8]>::to(&topic).payload(value.as_bytes());
        produce(&Broker::Kafka.servers(), [record]);
        assert_eq!(send(&daemon, "sent").0, 200);
        daemon.wait_for_messages(2);
        let output = format!("{}-output", setup.name);
        eventually("both in the output", || {
            let records = read_topic(&Broker::Kafka.servers(), &output);
            (records.len() == 2).then_some(())
        });
    }
}

#[test]
fn a_wrong_password_is_rejected_and_not_repeated() {
    let error = Login {
        password: "not-the-password",
        ..Login::GOOD
    }
    .rejection();
    assert!(error.contains("rejected the connection"), "{error}");
    assert!(error.contains("sasl.password"), "{error}");
}

#[test]
fn a_certificate_of_an_unknown_authority_is_rejected() {
    let error = Login {
        trusts_authority: false,
        ..Login::GOOD
    }
    .rejection();
    assert!(error.contains("certificate verify failed"), "{error}");
    assert!(error.contains("ssl.ca.location"), "{error}");
}

#[test]
fn a_client_that_does_not_encrypt_is_told_what_to_set() {
    let error = Login {
        protocol: "SASL_PLAINTEXT",
        ..Login::GOOD
    }
    .rejection();
    assert!(error.contains("security.protocol"), "{error}");
}
