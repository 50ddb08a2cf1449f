//! The groups on disk, in the journal `groups`, so that a restart of the broker costs no rebalance.
//!
//! The payloads of the journal begin with a byte for the kind; lists have their length u32 in front:
//!
//! - 0, a group after a rebalance: name, protocol type, generation i32, protocol, leader, and its members, each with its
//!   id, instance id, client id, address, session and rebalance timeout u32 (ms), assignment, and its protocols, each with
//!   name and metadata. An empty leader or instance id means none.
//! - 1, a group is removed: name
//!
//! Each entry replaces the one before of the same group. As in Kafka, a rebalance is written once it is complete, before
//! the members get their assignments: a restart in the middle of it brings back the generation before.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    member::Member,
    state_machine::{Group, GroupState},
};
use crate::{
    Error,
    storage::journal::{FieldReader, Journal, put_bytes, put_entry, put_text, replay},
};

const GROUP: u8 = 0;
const REMOVED: u8 = 1;

/// The journal of all groups.
#[derive(Debug)]
pub(crate) struct GroupJournal {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    journal: Journal,
    /// The last entry of each group, for rewriting the journal.
    entries: BTreeMap<String, Vec<u8>>,
}

impl GroupJournal {
    /// Reads the journal without a torn end, and rewrites it; returns the groups as well, whose sessions begin at `now`.
    pub(super) fn open(
        folder: &Path,
        now: Instant,
    ) -> Result<(GroupJournal, BTreeMap<String, Group>), Error> {
        let path = folder.join("groups");
        let mut groups = BTreeMap::new();
        replay(&path, |payload| {
            let mut fields = FieldReader(payload);
            let kind = fields.u8()?;
            let name = fields.text()?;
            match kind {
                GROUP => groups.insert(name, read(&mut fields, now)?),
                REMOVED => groups.remove(&name),
                _ => return None,
            };
            Some(())
        })?;
        let encode = |(name, group): (&String, &Group)| (name.clone(), entry(name, group));
        let entries: BTreeMap<_, _> = groups.iter().map(encode).collect();
        let journal = Journal::rewrite(&path, &all(&entries))?;
        let state = Mutex::new(State { journal, entries });
        Ok((GroupJournal { state }, groups))
    }

    /// Stores a group. If that fails, the group goes on, but its members have to join again after a restart.
    pub(super) fn save(&self, name: &str, group: &Group) {
        let entry = entry(name, group);
        let mut state = self.state.lock();
        state.append(name, &entry);
        state.entries.insert(name.to_owned(), entry);
        state.compact_if_due();
    }

    /// Stores that a group no longer exists.
    pub(super) fn remove(&self, name: &str) {
        let mut state = self.state.lock();
        if state.entries.remove(name).is_some() {
            let mut entry = Vec::new();
            put_entry(&mut entry, |payload| {
                payload.push(REMOVED);
                put_text(payload, name);
            });
            state.append(name, &entry);
            state.compact_if_due();
        }
    }

    /// Syncs the journal.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.state.lock().journal.sync()
    }
}

impl State {
    fn append(&mut self, group: &str, entry: &[u8]) {
        if let Err(error) = self.journal.append(entry) {
            tracing::error!(
                group,
                %error,
                "cannot store a group: its members will rebalance if the broker restarts"
            );
        }
    }

    fn compact_if_due(&mut self) {
        let entries = &self.entries;
        self.journal.compact_if_due(|| all(entries));
    }
}

fn all(entries: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    entries.values().flatten().copied().collect()
}

/// Encodes a group as an entry of the journal.
fn entry(name: &str, group: &Group) -> Vec<u8> {
    let mut entry = Vec::new();
    put_entry(&mut entry, |payload| {
        payload.push(GROUP);
        put_text(payload, name);
        put_text(payload, &group.protocol_type);
        payload.extend(group.generation.to_le_bytes());
        put_text(payload, &group.protocol);
        put_text(payload, group.leader.as_deref().unwrap_or_default());
        payload.extend((group.members.len() as u32).to_le_bytes());
        for (id, member) in &group.members {
            put_text(payload, id);
            put_member(payload, member);
        }
    });
    entry
}

fn put_member(payload: &mut Vec<u8>, member: &Member) {
    put_text(payload, member.instance_id.as_deref().unwrap_or_default());
    put_text(payload, &member.client_id);
    put_text(payload, &member.client_host);
    for timeout in [member.session_timeout, member.rebalance_timeout] {
        let ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        payload.extend(ms.to_le_bytes());
    }
    put_bytes(payload, &member.assignment);
    payload.extend((member.protocols.len() as u32).to_le_bytes());
    for (name, metadata) in &member.protocols {
        put_text(payload, name);
        put_bytes(payload, metadata);
    }
}

/// Decodes a group after its name. It is stable, or empty if it has no members.
fn read(fields: &mut FieldReader<'_>, now: Instant) -> Option<Group> {
    let mut group = Group {
        protocol_type: fields.text()?,
        generation: fields.i32()?,
        protocol: fields.text()?,
        leader: Some(fields.text()?).filter(|leader| !leader.is_empty()),
        ..Group::default()
    };
    for _ in 0..fields.u32()? {
        let id = fields.text()?;
        let member = read_member(fields, now)?;
        if let Some(instance) = &member.instance_id {
            group.instances.insert(instance.clone(), id.clone());
        }
        group.members.insert(id, member);
    }
    if !group.members.is_empty() {
        group.state = GroupState::Stable;
    }
    Some(group)
}

fn read_member(fields: &mut FieldReader<'_>, now: Instant) -> Option<Member> {
    let instance_id = Some(fields.text()?).filter(|instance| !instance.is_empty());
    let (client_id, client_host) = (fields.text()?, fields.text()?);
    let [session_timeout, rebalance_timeout] =
        [fields.u32()?, fields.u32()?].map(|ms| Duration::from_millis(ms.into()));
    let assignment = Bytes::from(fields.bytes()?);
    let protocols = (0..fields.u32()?)
        .map(|_| Some((fields.text()?, Bytes::from(fields.bytes()?))))
        .collect::<Option<_>>()?;
    Some(Member {
        instance_id,
        client_id,
        client_host,
        session_timeout,
        rebalance_timeout,
        protocols,
        assignment,
        session_ends: now + session_timeout,
        joining: None,
        syncing: None,
    })
}

#[cfg(test)]
mod tests;
