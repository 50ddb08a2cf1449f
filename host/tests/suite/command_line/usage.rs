//! Help texts and wrong usage.

use super::Shell;

#[test]
fn every_command_has_help_with_examples() {
    let shell = Shell::new();
    let help = shell.run(&["--help"]);
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
    let commands = help.out.split_once("Commands:\n").expect("a list").1;
    let commands = commands
        .lines()
        .map_while(|line| line.split_whitespace().next());
    let commands: Vec<_> = commands.filter(|command| *command != "help").collect();
    for command in ["serve", "check", "new", "test"] {
        assert!(commands.contains(&command), "{commands:?}");
    }
    for command in commands {
        let help = shell.run(&[command, "--help"]);
        assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
        let usage = format!("Usage: eventos {command}");
        for part in [usage.as_str(), "Examples:\n  eventos"] {
            assert!(help.out.contains(part), "{part:?} in {}", help.out);
        }
    }
    let version = shell.run(&["--version"]);
    let expected = format!("eventos {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((version.code, version.out), (Some(0), expected));
}

#[test]
fn wrong_usage_is_an_error_with_code_2() {
    let shell = Shell::new();
    for (arguments, named) in [
        (&["sreve"][..], "'sreve'"),
        (&["serve", "--confg", "x"], "'--config'"),
        (&["serve", "extra"], "'extra'"),
        (&["check", "--config"], "'--config <FILE>'"),
        (&["--port", "1"], "'--port'"),
    ] {
        let output = shell.run(arguments);
        assert_eq!(output.code, Some(2), "{arguments:?}: {}", output.err);
        assert!(output.err.starts_with("error: "), "{}", output.err);
        assert!(output.err.contains(named), "{named} in {}", output.err);
        assert_eq!(output.out, "");
    }
    // Without a command, the program prints the usage and exits with an error.
    let output = shell.run(&[]);
    assert_eq!(output.code, Some(2));
    assert!(
        output.err.contains("Usage: eventos <COMMAND>"),
        "{}",
        output.err
    );
}
