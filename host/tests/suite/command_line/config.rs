//! Where a setting comes from: a flag, the environment, the file, the default, in this order.

use eventos_testkit::{Broker, Setup};

use super::{Ran, Shell};
use crate::EVENTOS;

/// The effective value of a setting shows in what is said of it when it is wrong.
fn listen(ran: &Ran) -> String {
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    let (_, after) = ran.err.split_once("http.listen = \"").expect("it is wrong");
    after.split('"').next().expect("text").to_owned()
}

#[test]
fn the_environment_wins_over_the_file_and_the_flag_says_which_file() {
    let shell = Shell::new();
    shell.write("plugins/none.txt", "");
    let file = |value: &str| format!("[http]\nlisten = {value:?}\n");
    shell.write("config/eventos.toml", file("from the default file"));
    shell.write("other.toml", file("from the named file"));
    let variable = [("EVENTOS__HTTP__LISTEN", "from the environment")];

    assert_eq!(listen(&shell.run(&["check"])), "from the default file");
    let named = ["check", "--config", "other.toml"];
    assert_eq!(listen(&shell.run(&named)), "from the named file");
    for arguments in [&["check"][..], &named] {
        let ran = shell.run_with(arguments, &variable);
        assert_eq!(listen(&ran), "from the environment");
        // What is wrong is said of where it comes from.
        assert!(
            ran.err.starts_with("error: EVENTOS__HTTP__LISTEN: "),
            "{}",
            ran.err
        );
    }
}

#[test]
fn a_variable_that_sets_nothing_is_an_error() {
    let shell = Shell::new();
    shell.write("plugins/none.txt", "");
    let ran = shell.run_with(&["check"], &[("EVENTOS__KAFKA__GRUOP_ID", "g")]);
    assert_eq!(ran.code, Some(1));
    let errors = ran.errors();
    assert!(
        errors[0].starts_with("EVENTOS__KAFKA__GRUOP_ID: unknown key"),
        "{}",
        ran.err
    );
    assert!(
        errors[0].contains("did you mean kafka.group_id?"),
        "{}",
        ran.err
    );
}

/// Not only in words: a daemon whose file says one address and whose environment another.
#[test]
fn the_daemon_listens_where_the_environment_says() {
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    setup.set("EVENTOS__HTTP__LISTEN", "[::1]:0");
    setup.set("EVENTOS__EMBEDDED__PARTITIONS", "7");
    let daemon = setup.start();
    assert!(
        daemon.url("/").starts_with("http://[::1]:"),
        "{}",
        daemon.url("/")
    );
    let partitions = eventos_testkit::ends(daemon.broker(), &setup.topic());
    assert_eq!(partitions.len(), 7);
}
