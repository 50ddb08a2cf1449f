//! Members of the group whose client id is a URL at which no instance of the group is.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use eventos_testkit::{
    Background, Broker, DEADLINE, Daemon, IdleMember, StopFlag, eventually, wait::pause,
};

use super::{Group, GroupAnswer as _, QUICK};

const SECRET: &str = "EVENTOS__PEERS__SECRET";

/// The response of an instance without Eventos, for every partition.
const ROWS: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/vnd.eventos.rows-1\r\n\
                    x-partitions-covered: 0-6\r\nx-total-count: 0\r\nx-start-cursor: -\r\n\
                    x-eventos-proof: 00\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A server that a member of the group pretends is an instance.
pub(crate) struct FalsePeer {
    pub(crate) url: String,
    serving: Background<Vec<String>>,
}

impl FalsePeer {
    /// Starts a server that responds to the head of each request with the result of `answer`.
    pub(crate) fn start(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let serving = Background::start(move |stop| serve(&listener, stop, answer));
        Self { url, serving }
    }

    /// Joins the group of a daemon under the URL of this server.
    pub(crate) fn join(&self, daemon: &Daemon, group: &str, topic: &str) -> IdleMember {
        IdleMember::join(daemon.broker(), group, topic, &self.url)
    }

    /// Returns the heads of all requests.
    pub(crate) fn finish(self) -> Vec<String> {
        self.serving.finish()
    }
}

fn serve(listener: &TcpListener, stop: &StopFlag, answer: impl Fn(&str) -> String) -> Vec<String> {
    let mut requests = Vec::new();
    listener.set_nonblocking(true).expect("a socket option");
    while !stop.is_set() {
        let Ok((mut connection, _)) = listener.accept() else {
            pause(Duration::from_millis(5));
            continue;
        };
        connection.set_nonblocking(false).expect("a socket option");
        let timeout = connection.set_read_timeout(Some(DEADLINE));
        timeout.expect("a socket option");
        let (mut request, mut byte) = (Vec::new(), [0]);
        while !request.ends_with(b"\r\n\r\n") && connection.read_exact(&mut byte).is_ok() {
            request.push(byte[0]);
        }
        let request = String::from_utf8(request).expect("UTF-8");
        let _ = connection.write_all(answer(&request).as_bytes());
        requests.push(request);
    }
    requests
}

#[track_caller]
fn assert_only_handshakes(requests: &[String]) {
    assert!(!requests.is_empty());
    for request in requests {
        assert!(
            request.starts_with("GET /peers/proof HTTP/1.1"),
            "{request}"
        );
        assert!(!request.contains(&"s".repeat(32)), "{request}");
    }
}

/// The daemon asks for nothing before a proof, asks rarely, and uses nothing of the answer.
#[test]
fn one_that_proves_nothing_gets_nothing_but_handshakes() {
    for secret in ["", &"s".repeat(32)] {
        let group = Group::with_one_and(Broker::Embedded, QUICK, &[(SECRET, secret)]);
        group.wait_until_whole();
        let answers = [
            ROWS.to_owned(),
            "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned(),
        ];
        for answer in answers {
            let peer = FalsePeer::start(move |_| answer.clone());
            let (daemon, setup) = (&group.daemons[0], &group.setups[0]);
            let member = peer.join(daemon, &setup.name, &setup.topic());
            let began = Instant::now();
            eventually("the answer to say that there is no proof", || {
                let answer = daemon.get("/messages?tipo=private");
                let reason = format!("{} did not prove that it is an instance", peer.url);
                answer
                    .reasons()
                    .contains(&reason)
                    .then(|| answer.assert_partial())
            });
            let replay = daemon.post("/replay?from=earliest");
            assert_eq!(replay.status, 409, "{}", replay.text);
            for _ in 0..50 {
                assert_eq!(daemon.get("/messages").status, 200);
            }
            let seconds = began.elapsed().as_secs();
            drop(member);
            group.wait_until_whole();
            let requests = peer.finish();
            assert_only_handshakes(&requests);
            let most = usize::try_from(2 * seconds + 10).expect("a count");
            assert!(requests.len() <= most, "{} in {seconds} s", requests.len());
        }
    }
}

/// The member forwards each request to an instance, and returns the response of that.
#[test]
fn one_that_passes_requests_on_to_an_instance_proves_nothing() {
    let secret = "s".repeat(32);
    let group = Group::with_one_and(Broker::Embedded, QUICK, &[(SECRET, &secret)]);
    group.wait_until_whole();
    let address = group.daemons[0].url("").replace("http://", "");
    let peer = FalsePeer::start(move |request| {
        let own = request.lines().find(|line| line.starts_with("host: "));
        let own = own.expect("a host");
        let request = request.replace(own, &format!("host: {address}\r\nconnection: close"));
        let mut instance = TcpStream::connect(&address).expect("it listens");
        instance.write_all(request.as_bytes()).expect("it is sent");
        let mut answer = String::new();
        instance.read_to_string(&mut answer).expect("an answer");
        answer
    });
    let (daemon, setup) = (&group.daemons[0], &group.setups[0]);
    let _member = peer.join(daemon, &setup.name, &setup.topic());
    eventually("the answer to say what to set", || {
        let answer = daemon.get("/messages");
        let reason = format!(
            "{} refused the request; set the same peers.secret",
            peer.url
        );
        answer
            .reasons()
            .contains(&reason)
            .then(|| answer.assert_partial())
    });
    assert_only_handshakes(&peer.finish());
}

#[test]
fn one_that_the_list_does_not_name_is_not_called_at_all() {
    let variables = [
        ("EVENTOS__PEERS__ALLOW", "127.0.0.1:1, *:2"),
        (SECRET, &"s".repeat(32)),
    ];
    let group = Group::with_one_and(Broker::Embedded, QUICK, &variables);
    group.wait_until_whole();
    let peer = FalsePeer::start(|_| ROWS.to_owned());
    let (daemon, setup) = (&group.daemons[0], &group.setups[0]);
    let _member = peer.join(daemon, &setup.name, &setup.topic());
    eventually("the answer to say that it is not asked", || {
        let answer = daemon.get("/messages");
        let reason = format!(
            "{} is not asked: add its host:port to peers.allow",
            peer.url
        );
        answer
            .reasons()
            .contains(&reason)
            .then(|| answer.assert_partial())
    });
    let replay = daemon.post("/replay?from=earliest");
    assert_eq!(replay.status, 409, "{}", replay.text);
    assert_eq!(peer.finish(), <[String; 0]>::default());
}
