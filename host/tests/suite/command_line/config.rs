//! The sources of a setting: flag, environment variable, file, default, in this order.

use eventos_testkit::{Broker, Setup};

use super::{Finished, Shell};
use crate::EVENTOS;

/// Returns the effective value of `http.listen`, which an error shows because it is invalid.
fn listen(output: &Finished) -> String {
    assert_eq!(output.code, Some(1), "{}", output.out);
    let (_, after) = output
        .err
        .split_once("http.listen = \"")
        .expect("an error about the value");
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
        let output = shell.run_with(arguments, &variable);
        assert_eq!(listen(&output), "from the environment");
        // The error names the source of the value.
        assert!(
            output.err.starts_with("error: EVENTOS__HTTP__LISTEN: "),
            "{}",
            output.err
        );
    }
}

#[test]
fn a_variable_that_sets_nothing_is_an_error() {
    let shell = Shell::new();
    shell.write("plugins/none.txt", "");
    let output = shell.run_with(&["check"], &[("EVENTOS__KAFKA__GRUOP_ID", "g")]);
    assert_eq!(output.code, Some(1));
    let errors = output.errors();
    assert!(
        errors[0].starts_with("EVENTOS__KAFKA__GRUOP_ID: unknown key"),
        "{}",
        output.err
    );
    assert!(
        errors[0].contains("did you mean kafka.group_id?"),
        "{}",
        output.err
    );
}

/// The file and the environment of this daemon have different addresses.
#[test]
fn the_daemon_listens_where_the_environment_says() {
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    setup.set_env("EVENTOS__HTTP__LISTEN", "[::1]:0");
    setup.set_env("EVENTOS__EMBEDDED__PARTITIONS", "7");
    let daemon = setup.start();
    assert!(
        daemon.url("/").starts_with("http://[::1]:"),
        "{}",
        daemon.url("/")
    );
    let partitions = eventos_testkit::end_offsets(daemon.broker(), &setup.topic());
    assert_eq!(partitions.len(), 7);
}
