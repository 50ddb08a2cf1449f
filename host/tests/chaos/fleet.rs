//! The daemons of the group.

use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::{
    Guarantee,
    load::Topics,
    support::{self, Daemon, Setup, committed, ends, eventually},
};

/// At first; a third comes and goes.
const USUALLY: usize = 2;

/// How long it is waited for what is left before that is told.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Fleet {
    members: Vec<Member>,
}

struct Member {
    setup: Setup,
    /// None while it is down.
    daemon: Option<Daemon>,
    /// When it is started again.
    down_until: Instant,
    /// Not to be started again.
    away: bool,
}

impl Fleet {
    /// As soon as one of them is ready.
    pub fn start(servers: &str, topics: &Topics, guarantee: Guarantee) -> Self {
        let members = (0..=USUALLY).map(|i| Member::new(servers, topics, guarantee, i == USUALLY));
        let mut fleet = Self {
            members: members.collect(),
        };
        for member in fleet.members.iter_mut().filter(|member| !member.away) {
            member.daemon = Some(member.setup.spawn());
        }
        let first = fleet
            .members
            .iter()
            .find_map(|member| member.daemon.as_ref());
        first.expect("one is there").wait_until_ready();
        fleet
    }

    /// kill -9.
    pub fn kill_one(&mut self, random: &mut Rng) {
        if let Some(member) = self.any(random) {
            member.daemon.take().expect("it is up").kill();
            member.rest(random);
        }
    }

    /// SIGTERM, and waits for the end.
    pub fn stop_one(&mut self, random: &mut Rng) {
        if let Some(member) = self.any(random) {
            let daemon = member.daemon.take().expect("it is up");
            assert!(daemon.stop().success(), "an orderly stop ends well");
            member.rest(random);
        }
    }

    /// The last one comes, or leaves.
    pub fn grow_or_shrink(&mut self, random: &mut Rng) {
        let last = self.members.last_mut().expect("there are some");
        last.away = !last.away;
        if last.away
            && let Some(daemon) = last.daemon.take()
        {
            match random.bool() {
                true => assert!(daemon.stop().success(), "an orderly stop ends well"),
                false => daemon.kill(),
            }
        }
    }

    /// Starts those that have been down long enough. One that ended by itself is an error of its own.
    pub fn revive(&mut self, random: &mut Rng) {
        for member in &mut self.members {
            if let Some(daemon) = &mut member.daemon {
                assert!(
                    !daemon.has_ended(),
                    "a daemon ended by itself:\n{}",
                    daemon.log()
                );
            } else if !member.away && member.down_until <= Instant::now() {
                member.daemon = Some(member.setup.launch());
            }
        }
        // Never none for long.
        if self.members.iter().all(|member| member.daemon.is_none()) {
            let member = random
                .choice(self.members[..USUALLY].iter_mut())
                .expect("some");
            member.daemon = Some(member.setup.launch());
        }
    }

    /// Waits until everything that was sent is consumed and committed, with all of them up.
    pub fn wait_until_done(&mut self, servers: &str, topics: &Topics) {
        for member in &mut self.members {
            if member.daemon.is_none() {
                member.daemon = Some(member.setup.launch());
            }
        }
        let mut told = Instant::now();
        eventually("everything to be committed", || {
            let ends = ends(servers, &topics.eventos);
            let committed = committed(servers, &topics.group, &topics.eventos);
            if told.elapsed() > PATIENCE {
                told = Instant::now();
                println!("  committed are {committed:?} of {ends:?}");
            }
            (committed == ends).then_some(())
        });
    }

    fn any(&mut self, random: &mut Rng) -> Option<&mut Member> {
        let up = self
            .members
            .iter_mut()
            .filter(|member| member.daemon.is_some());
        random.choice(up.collect::<Vec<_>>())
    }
}

impl Member {
    fn new(servers: &str, topics: &Topics, guarantee: Guarantee, away: bool) -> Self {
        let guarantee = match guarantee {
            Guarantee::AtLeastOnce => "at_least_once",
            Guarantee::ExactlyOnce => "exactly_once",
        };
        let more = format!(
            "[handler.probe]\nproduce = [{out:?}]\nconfig = {{ emit_to = {out:?} }}\n\
             [kafka.properties]\n\"session.timeout.ms\" = \"6000\"\n\"heartbeat.interval.ms\" = \"500\"\n",
            out = topics.out
        );
        let mut setup = Setup::new(support::Broker::Embedded, &["probe", "store"], &more);
        servers.clone_into(&mut setup.servers);
        topics.name.clone_into(&mut setup.name);
        setup.set("EVENTOS__DELIVERY__GUARANTEE", guarantee);
        Self {
            setup,
            daemon: None,
            down_until: Instant::now(),
            away,
        }
    }

    fn rest(&mut self, random: &mut Rng) {
        self.down_until = Instant::now() + Duration::from_millis(random.u64(..3_000));
    }
}
