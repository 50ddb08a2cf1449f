//! Describing groups: their coordinator, their states and their members.

use eventos_testkit::raw::{GROUP, TRANSACTION, text, verdict};
use kafka_protocol::{
    error::ResponseError,
    messages::{
        DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, ListGroupsRequest,
    },
    protocol::StrBytes,
};
use rdkafka::consumer::Consumer;

use super::{
    groups::{await_shares, member},
    member::{Member, USUAL},
    on_both,
};

#[test]
fn a_group_is_described_in_each_state() {
    on_both(|subject| {
        let group = subject.name("g");
        let topic = subject.topic(1);
        let none = subject.group(&group);
        let mut member = Member::new(subject, &group);
        member.join(USUAL);
        let joined = subject.group(&group);
        member.sync(&[]);
        let stable = subject.group(&group);
        member.commit(&topic, 0);
        member.leave();
        [none, joined, stable, subject.group(&group)]
    })
    .agree_on([
        None,
        Some(("CompletingRebalance".to_owned(), 1)),
        Some(("Stable".to_owned(), 1)),
        Some(("Empty".to_owned(), 0)),
    ]);
}

#[test]
fn the_description_of_a_member_says_who_it_is() {
    on_both(|subject| {
        let (topic, group) = (subject.topic(1), subject.name("g"));
        let settings = [("client.id", "somebody")];
        let consumer = member(subject, &group, &[&topic], &settings);
        await_shares(&[&consumer], &[&topic], &[1]);
        subject.await_group(&group, "Stable", 1);
        let groups = consumer.fetch_group_list(Some(&group), eventos_testkit::DEADLINE);
        let groups = groups.expect("answered");
        let group = &groups.groups()[0];
        let member = &group.members()[0];
        (
            [group.protocol(), group.protocol_type()].map(str::to_owned),
            member.client_id().to_owned(),
            member.client_host().to_owned(),
            member.id().starts_with("somebody-"),
            member.assignment().is_some_and(|bytes| !bytes.is_empty()),
        )
    })
    .agree_on((
        ["range".to_owned(), "consumer".to_owned()],
        "somebody".to_owned(),
        "/127.0.0.1".to_owned(),
        true,
        true,
    ));
}

#[test]
fn groups_are_listed_by_their_state() {
    on_both(|subject| {
        let (live, empty) = (subject.name("g"), subject.name("g"));
        let _member = Member::alone(subject, &live);
        let topic = subject.topic(1);
        assert_eq!(Member::new(subject, &empty).commit(&topic, 1), None);
        let mut raw = subject.raw();
        [&["Stable"][..], &["empty"], &["Dead"], &[]].map(|states| {
            let states = states.iter().map(|state| text(state)).collect();
            let request = ListGroupsRequest::default().with_states_filter(states);
            let listed = raw.call(4, &request);
            let state = |name: &str| {
                let mut groups = listed.groups.iter();
                let group = groups.find(|group| group.group_id.as_str() == name)?;
                Some((
                    group.group_state.to_string(),
                    group.protocol_type.to_string(),
                ))
            };
            (verdict(listed.error_code), state(&live), state(&empty))
        })
    })
    .agree_on({
        let live = Some(("Stable".to_owned(), "consumer".to_owned()));
        let empty = Some(("Empty".to_owned(), String::new()));
        [
            (None, live.clone(), None),
            (None, None, empty.clone()),
            (None, None, None),
            (None, live, empty),
        ]
    });
}

#[test]
fn a_group_whose_members_left_keeps_its_type() {
    on_both(|subject| {
        let group = subject.name("g");
        let topic = subject.topic(1);
        let mut member = Member::alone(subject, &group);
        let committed = member.commit(&topic, 1);
        let left = member.leave();
        let mut raw = subject.raw();
        let listed = raw.call(4, &ListGroupsRequest::default());
        let listed = listed.groups.into_iter();
        let listed = listed.filter(|listed| listed.group_id.as_str() == group);
        let listed: Vec<_> = listed
            .map(|listed| (listed.protocol_type, listed.group_state))
            .collect();
        let request = DescribeGroupsRequest::default().with_groups(vec![text(&group)]);
        let described = raw.call(5, &request).groups.remove(0);
        let described = (
            described.protocol_type,
            described.group_state,
            described.protocol_data,
        );
        // The next generation follows the last one.
        let mut next = Member::new(subject, &group);
        let joined = next.join(USUAL);
        let is_later = next.generation > member.generation;
        ((committed, left), listed, described, (joined, is_later))
    })
    .agree_on({
        let [consumer, empty] = ["consumer", "Empty"].map(StrBytes::from_static_str);
        (
            (None, None),
            vec![(consumer.clone(), empty.clone())],
            (consumer, empty, StrBytes::default()),
            (None, true),
        )
    });
}

#[test]
fn a_group_without_offsets_is_there_for_a_while_after_its_members_left() {
    on_both(|subject| {
        let group = subject.name("g");
        let mut member = Member::alone(subject, &group);
        let left = member.leave();
        let state = subject.group(&group);
        let mut raw = subject.raw();
        let request = DeleteGroupsRequest::default().with_groups_names(vec![text(&group)]);
        let mut delete = || verdict(raw.call(2, &request).results[0].error_code);
        (left, state, delete(), delete())
    })
    .agree_on((
        None,
        Some(("Empty".to_owned(), 0)),
        None,
        Some(ResponseError::GroupIdNotFound),
    ));
}

#[test]
fn each_kind_of_coordinator_is_found_and_no_other() {
    on_both(|subject| {
        let mut raw = subject.raw();
        [(GROUP, "g"), (TRANSACTION, "t"), (9, "x"), (GROUP, "")].map(|(kind, key)| {
            let request = FindCoordinatorRequest::default()
                .with_key_type(kind)
                .with_coordinator_keys(vec![text(key)]);
            let found = raw.call(4, &request);
            let coordinator = found.coordinators.first();
            coordinator.map(|c| (verdict(c.error_code), c.node_id.0))
        })
    })
    .agree_on([
        Some((None, 1)),
        Some((None, 1)),
        Some((Some(ResponseError::InvalidRequest), -1)),
        Some((None, 1)),
    ]);
}
