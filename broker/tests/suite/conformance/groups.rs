//! Membership: who is in a group, who shares the partitions, and who is removed.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use bytes::Bytes;
use eventos_testkit::eventually;
use kafka_protocol::error::ResponseError;
use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    types::RDKafkaErrorCode,
};

use super::{
    member::{Member, Terms, USUAL},
    on_both,
    subject::{Subject, code},
};

/// Returns the partitions of a member: those of the first topic as they are, those of the second with 100 added.
type Share = BTreeSet<i32>;

fn share(consumer: &BaseConsumer, topics: &[&str]) -> Share {
    let assignment = consumer.assignment().expect("an assignment");
    let number = |topic: &str| topics.iter().position(|t| *t == topic).expect("known");
    let elements = assignment.elements();
    let all = elements.iter();
    all.map(|e| number(e.topic()) as i32 * 100 + e.partition())
        .collect()
}

/// Polls the members until they have this many partitions each, in sorted order.
pub(super) fn await_shares(
    members: &[&BaseConsumer],
    topics: &[&str],
    sizes: &[usize],
) -> Vec<Share> {
    eventually(&format!("shares of {sizes:?}"), || {
        for member in members {
            // Errors are expected during a rebalance.
            let _ = member.poll(Duration::from_millis(5));
        }
        let mut shares: Vec<_> = members.iter().map(|m| share(m, topics)).collect();
        shares.sort();
        let mut found: Vec<_> = shares.iter().map(BTreeSet::len).collect();
        found.sort_unstable();
        (found == sizes).then_some(shares)
    })
}

pub(super) fn member(
    subject: &Subject,
    group: &str,
    topics: &[&str],
    more: &[(&str, &str)],
) -> BaseConsumer {
    let consumer = subject.consumer(group, more);
    consumer.subscribe(topics).expect("subscribed");
    consumer
}

/// Returns how two members with this strategy share two topics of three partitions, and what one gets after the other left.
fn shares(subject: &Subject, strategy: &str) -> (Vec<Share>, usize) {
    let (one, two) = (subject.topic(3), subject.topic(3));
    let (topics, group) = ([&*one, &*two], subject.name("g"));
    let settings = [("partition.assignment.strategy", strategy)];
    let first = member(subject, &group, &topics, &settings);
    await_shares(&[&first], &topics, &[6]);
    let second = member(subject, &group, &topics, &settings);
    let sizes = if strategy == "range" { [2, 4] } else { [3, 3] };
    let shares = await_shares(&[&first, &second], &topics, &sizes);
    drop(first);
    let left = await_shares(&[&second], &topics, &[6]);
    (shares, left[0].len())
}

fn set<const N: usize>(partitions: [i32; N]) -> Share {
    partitions.into()
}

#[test]
fn range_gives_each_member_a_range_of_each_topic() {
    on_both(|subject| shares(subject, "range"))
        .agree_on((vec![set([0, 1, 100, 101]), set([2, 102])], 6));
}

#[test]
fn roundrobin_deals_the_partitions_out() {
    on_both(|subject| shares(subject, "roundrobin"))
        .agree_on((vec![set([0, 2, 101]), set([1, 100, 102])], 6));
}

#[test]
fn cooperative_members_share_evenly_and_take_over_what_is_left() {
    on_both(|subject| {
        let (shares, left) = shares(subject, "cooperative-sticky");
        (shares[0].is_disjoint(&shares[1]), left)
    })
    .agree_on((true, 6));
}

#[test]
fn a_static_member_has_its_share_again_after_a_restart_without_a_rebalance() {
    on_both(|subject| {
        let (topic, group) = (subject.topic(4), subject.name("g"));
        let topics = [&*topic];
        let named = |name| member(subject, &group, &topics, &[("group.instance.id", name)]);
        let first = named("one");
        await_shares(&[&first], &topics, &[4]);
        let second = named("two");
        await_shares(&[&first, &second], &topics, &[2, 2]);
        let before = [share(&first, &topics), share(&second, &topics)];
        drop(second);
        let meanwhile = subject.group(&group);
        let second = named("two");
        await_shares(&[&first, &second], &topics, &[2, 2]);
        let after = [share(&first, &topics), share(&second, &topics)];
        (meanwhile, before == after, subject.group(&group))
    })
    .agree_on((
        Some(("Stable".to_owned(), 2)),
        true,
        Some(("Stable".to_owned(), 2)),
    ));
}

#[test]
fn a_second_static_member_of_the_name_fences_the_first() {
    on_both(|subject| {
        let (topic, group) = (subject.topic(1), subject.name("g"));
        let settings = [("group.instance.id", "one")];
        let first = member(subject, &group, &[&topic], &settings);
        await_shares(&[&first], &[&topic], &[1]);
        let second = member(subject, &group, &[&topic], &settings);
        await_shares(&[&second], &[&topic], &[1]);
        eventually("the first to hear of it", || {
            let _ = second.poll(Duration::from_millis(5));
            let heard = first.poll(Duration::from_millis(5))?.map(drop);
            let fatal = first.client().fatal_error().map(|(code, _)| code);
            heard.err().map(|_| fatal)
        })
    })
    .agree_on(Some(RDKafkaErrorCode::FencedInstanceId));
}

#[test]
fn a_second_static_member_takes_the_id_and_the_first_is_told_at_each_call() {
    on_both(|subject| {
        let (topic, group) = (subject.topic(1), subject.name("g"));
        let named = || {
            let mut member = Member::new(subject, &group);
            member.instance = Some("one".to_owned());
            member
        };
        let mut first = named();
        let joined = (first.join(USUAL), first.sync(&[]).0);
        let mut second = named();
        let again = second.join(USUAL);
        (
            (joined, again, first.generation == second.generation),
            (first.heartbeat(), first.commit(&topic, 1)),
            (first.sync(&[]).0, first.leave()),
            (first.id != second.id, second.heartbeat()),
        )
    })
    .agree_on((
        ((None, None), None, true),
        (
            Some(ResponseError::FencedInstanceId),
            Some(ResponseError::FencedInstanceId),
        ),
        (
            Some(ResponseError::FencedInstanceId),
            Some(ResponseError::FencedInstanceId),
        ),
        (true, None),
    ));
}

#[test]
fn a_member_that_is_silent_for_its_session_is_out() {
    on_both(|subject| {
        let group = subject.name("g");
        let mut member = Member::new(subject, &group);
        let short = Terms {
            session_timeout_ms: 6_000,
            ..USUAL
        };
        let joined = (member.join(short), member.sync(&[]).0);
        let start = Instant::now();
        eventually("the member to be out", || {
            let out = subject.group(&group) != Some(("Stable".to_owned(), 1));
            out.then_some(())
        });
        let waited = start.elapsed();
        let in_time = (Duration::from_secs(5)..Duration::from_secs(12)).contains(&waited);
        (joined, in_time, member.heartbeat())
    })
    .agree_on(((None, None), true, Some(ResponseError::UnknownMemberId)));
}

#[test]
fn a_member_that_comes_or_goes_makes_the_others_join_anew() {
    on_both(|subject| {
        let group = subject.name("g");
        let mut first = Member::alone(subject, &group);
        let mut second = Member::new(subject, &group);
        let introduced = second.introduce();
        second.begin_join();
        let results = eventually("the first to hear of it", || first.heartbeat().map(Some));
        let joining = subject.group(&group);
        let rejoined = (first.join(USUAL), second.end_join());
        let generations = (first.generation, second.generation);
        let syncing = subject.group(&group).map(|(state, _)| state);
        let (one, two) = (first.id.clone(), second.id.clone());
        let shares = (
            first.sync(&[(&one, "first"), (&two, "second")]),
            second.sync(&[]),
        );
        let left = (second.leave(), first.heartbeat());
        (
            (introduced, results, joining, rejoined, generations),
            (syncing, shares, left),
        )
    })
    .agree_on((
        (
            Some(ResponseError::MemberIdRequired),
            Some(ResponseError::RebalanceInProgress),
            Some(("PreparingRebalance".to_owned(), 2)),
            (None, None),
            (2, 2),
        ),
        (
            Some("CompletingRebalance".to_owned()),
            (
                (None, Bytes::from_static(b"first")),
                (None, Bytes::from_static(b"second")),
            ),
            (None, Some(ResponseError::RebalanceInProgress)),
        ),
    ));
}

#[test]
fn terms_that_a_group_cannot_have_are_refused() {
    on_both(|subject| {
        let session = |session_timeout_ms| Terms {
            session_timeout_ms,
            ..USUAL
        };
        let join = |group: &str, terms| Member::new(subject, group).join(terms);
        let (none, group) = (&[][..], subject.name("g"));
        [
            join("", USUAL),
            join(&group, session(1_800_001)),
            join(&group, session(-1)),
            join(&group, Terms { kind: "", ..USUAL }),
            join(
                &group,
                Terms {
                    protocols: none,
                    ..USUAL
                },
            ),
        ]
    })
    .agree_on([
        Some(ResponseError::InvalidGroupId),
        Some(ResponseError::InvalidSessionTimeout),
        Some(ResponseError::InvalidSessionTimeout),
        Some(ResponseError::InconsistentGroupProtocol),
        Some(ResponseError::InconsistentGroupProtocol),
    ]);
}

#[test]
fn a_member_has_to_share_a_protocol_with_all_others() {
    on_both(|subject| {
        let group = subject.name("g");
        let _first = Member::alone(subject, &group);
        let other = Terms {
            protocols: &["roundrobin"],
            ..USUAL
        };
        let foreign = Terms {
            kind: "connect",
            ..USUAL
        };
        [other, foreign].map(|terms| Member::new(subject, &group).join(terms))
    })
    .agree_on([Some(ResponseError::InconsistentGroupProtocol); 2]);
}

#[test]
fn librdkafka_members_without_a_common_strategy_are_told_so() {
    on_both(|subject| {
        let (topic, group) = (subject.topic(1), subject.name("g"));
        let topics = [&*topic];
        let of = |name| {
            let settings = [("partition.assignment.strategy", name)];
            member(subject, &group, &topics, &settings)
        };
        let first = of("range");
        await_shares(&[&first], &topics, &[1]);
        let second = of("roundrobin");
        eventually("the second to hear of it", || {
            second
                .poll(Duration::from_millis(5))?
                .err()
                .as_ref()
                .map(code)
        })
    })
    .agree_on(RDKafkaErrorCode::InconsistentGroupProtocol);
}

#[test]
fn calls_of_members_and_generations_that_are_not_known_are_refused() {
    on_both(|subject| {
        let group = subject.name("g");
        let mut member = Member::alone(subject, &group);
        let mut stranger = Member::new(subject, &group);
        (stranger.id, stranger.generation) = ("stranger".to_owned(), member.generation);
        let of_stranger = [
            stranger.heartbeat(),
            stranger.sync(&[]).0,
            stranger.join(USUAL),
            stranger.leave(),
        ];
        member.generation += 1;
        let of_later = [member.heartbeat(), member.sync(&[]).0];
        let mut nobody = Member::new(subject, &subject.name("none"));
        (nobody.id, nobody.generation) = ("nobody".to_owned(), 1);
        let of_nobody = [
            nobody.heartbeat(),
            nobody.sync(&[]).0,
            nobody.join(USUAL),
            nobody.leave(),
        ];
        (of_stranger, of_later, of_nobody)
    })
    .agree_on((
        [Some(ResponseError::UnknownMemberId); 4],
        [Some(ResponseError::IllegalGeneration); 2],
        [Some(ResponseError::UnknownMemberId); 4],
    ));
}
