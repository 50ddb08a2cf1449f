//! The daemons of the group.

use std::{
    os::unix::process::ExitStatusExt as _,
    time::{Duration, Instant},
};

use eventos_testkit::{self as testkit, Daemon, Setup, committed, ends, eventually};
use fastrand::Rng;
use tokio::signal::unix::SignalKind;

use crate::{EVENTOS, Guarantee, load::Topics};

/// At first; a third comes and goes.
const USUALLY: usize = 2;

/// Where some of them die by themselves: the points of `pipeline/failure_point.rs`. Not every guarantee comes by each.
const POINTS: [&str; 8] = [
    "handled",
    "produced",
    "acknowledged",
    "shown",
    "offset-stored",
    "begun",
    "offset-sent",
    "committed",
];

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
    /// At a point, sooner or later.
    dies: bool,
}

impl Fleet {
    /// As soon as one of them is ready.
    pub fn start(servers: &str, topics: &Topics, guarantee: Guarantee) -> Self {
        let member = |i| Member::new(servers, topics, guarantee, i == USUALLY);
        let members = (0..=USUALLY).map(member);
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
            member.stop(daemon);
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
                true => last.stop(daemon),
                false => daemon.kill(),
            }
        }
    }

    /// Starts those that have been down long enough; answers how many have died at a point. One that ended in another
    /// way by itself is an error of its own.
    pub fn revive(&mut self, random: &mut Rng) -> usize {
        let mut died = 0;
        for member in &mut self.members {
            if let Some(daemon) = &mut member.daemon {
                if daemon.has_ended() {
                    assert!(member.dies, "a daemon ended by itself:\n{}", daemon.log());
                    died += 1;
                    member.daemon = None;
                    member.rest(random);
                }
            } else if !member.away && member.down_until <= Instant::now() {
                member.launch(random);
            }
        }
        // Never none for long.
        if self.members.iter().all(|member| member.daemon.is_none()) {
            let member = random
                .choice(self.members[..USUALLY].iter_mut())
                .expect("some");
            member.down_until = Instant::now();
        }
        died
    }

    /// Has all of them up, and none of them die any more.
    pub fn settle(&mut self) {
        for member in &mut self.members {
            let is_up = member.daemon.as_mut().is_some_and(|it| !it.has_ended());
            if member.dies || !is_up {
                // Killed, if it has not died yet.
                member.daemon = None;
                member.dies = false;
                member.setup.set("FAILPOINTS", "");
                member.daemon = Some(member.setup.launch());
            }
        }
    }

    /// Waits until everything that was sent is consumed and committed.
    pub fn wait_until_done(&self, servers: &str, topics: &Topics) {
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
             [kafka.properties]\n\"session.timeout.ms\" = \"2000\"\n\"heartbeat.interval.ms\" = \"500\"\n",
            out = topics.out
        );
        let mut setup = Setup::new(
            EVENTOS,
            testkit::Broker::Embedded,
            &["probe", "store"],
            &more,
        );
        servers.clone_into(&mut setup.servers);
        topics.name.clone_into(&mut setup.name);
        setup.set("EVENTOS__DELIVERY__GUARANTEE", guarantee);
        Self {
            setup,
            daemon: None,
            down_until: Instant::now(),
            away,
            dies: false,
        }
    }

    /// Every third of them to die at a point, after some batches.
    fn launch(&mut self, random: &mut Rng) {
        self.dies = random.u8(..3) == 0;
        let point = random.choice(POINTS).expect("some");
        let struck = match self.dies {
            true => format!("{point}={}*off->return", random.u8(1..100)),
            false => String::new(),
        };
        self.setup.set("FAILPOINTS", &struck);
        self.daemon = Some(self.setup.launch());
    }

    fn stop(&self, daemon: Daemon) {
        daemon.signal("TERM");
        let (status, said) = daemon.wait();
        // It may not even have come to listen to signals yet.
        let killed = Some(SignalKind::terminate().as_raw_value());
        let is_too_soon = status.signal() == killed && said.is_empty();
        let well = status.success() || self.dies || is_too_soon;
        assert!(well, "an orderly stop ends well, not with {status}: {said}");
    }

    fn rest(&mut self, random: &mut Rng) {
        self.down_until = Instant::now() + Duration::from_millis(random.u64(..3_000));
    }
}
