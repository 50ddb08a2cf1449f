//! A group whose instances ask one another with TLS.

use eventos_testkit::{Authority, Broker, Setup, eventually};

use super::{Group, GroupAnswer as _, QUICK, eventos, spread};
use crate::EVENTOS;

const LOOPBACK: &[&str] = &["127.0.0.1"];

/// Starts two daemons with TLS that `prepare` has configured, and checks that each covers the partitions of the other.
fn assert_answer_for_one_another(prepare: impl Fn(&mut Setup)) {
    let mut first = Setup::new(EVENTOS, Broker::Embedded, &["store"], QUICK);
    first.set_env("EVENTOS__EMBEDDED__PARTITIONS", "7");
    prepare(&mut first);
    let mut group = Group {
        daemons: vec![first.start()],
        setups: vec![first],
    };
    let mut second = group.another(Broker::Embedded, QUICK);
    prepare(&mut second);
    group.join(second);
    group.wait_until_whole();
    eventually("both to have partitions", || {
        let parts = group.daemons.iter().map(|daemon| daemon.get("/partitions"));
        parts
            .map(|part| part.text)
            .all(|text| text != "[]")
            .then_some(())
    });
    spread(&group, 0, &eventos("a", "x", 70));
    group.wait_for_total("", 70);
    for daemon in &group.daemons {
        assert!(daemon.url("").starts_with("https://"), "{}", daemon.url(""));
        let replay = daemon.post("/replay?from=earliest&dry_run=true");
        assert_eq!(replay.status, 200, "{}", replay.text);
        let log = daemon.log();
        assert!(!log.contains("not for this host"), "{log}");
    }
}

#[test]
fn instances_with_certificates_of_one_authority_answer_for_one_another() {
    let authority = Authority::new("group");
    assert_answer_for_one_another(|setup| {
        setup.use_certificate(&authority.issue(LOOPBACK), &authority.certificate);
        let ca = setup.write("peers.pem", &authority.certificate);
        setup.add_config(&format!("peer_ca = {ca:?}\n"));
    });
}

#[test]
fn instances_show_one_another_their_certificates() {
    let authority = Authority::new("group");
    assert_answer_for_one_another(|setup| {
        setup.use_certificate(&authority.issue(LOOPBACK), &authority.certificate);
        let ca = setup.write("peers.pem", &authority.certificate);
        setup.add_config(&format!("peer_ca = {ca:?}\nclient_ca = {ca:?}\n"));
        setup.client_certificate = Some(authority.issue(&["client"]));
    });
}

#[test]
fn instances_with_the_same_certificate_need_no_authority() {
    let authority = Authority::new("group");
    let shared = authority.issue(LOOPBACK);
    assert_answer_for_one_another(|setup| {
        setup.use_certificate(&shared, &authority.certificate);
    });
}

/// Half of the group has TLS, and neither trusts the certificate of the other.
#[test]
fn a_group_that_is_half_upgraded_goes_on_and_says_what_is_missing() {
    let mut group = Group::with_one(Broker::Embedded, QUICK);
    let mut second = group.another(Broker::Embedded, QUICK);
    let authority = Authority::new("second");
    second.use_certificate(&authority.issue(LOOPBACK), &authority.certificate);
    group.join(second);
    eventually("the first one to say what to set", || {
        let answer = group.daemons[0].get("/messages");
        assert_eq!(answer.status, 200);
        let reasons = answer.reasons();
        (reasons.contains("https://127.0.0.1:") && reasons.contains("http.tls.peer_ca"))
            .then_some(())
    });
    // The second one asks the first without TLS.
    eventually("a whole answer of the second one", || {
        group.daemons[1].get("/messages").is_whole().then_some(())
    });
    spread(&group, 0, &eventos("a", "x", 70));
    eventually("all Eventos to be consumed", || {
        (group.daemons[1].get("/messages").total() == 70).then_some(())
    });
}
