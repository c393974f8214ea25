//! The command line as such: exit status, and where options come from.

mod support;

use support::{Done, Workplace};

#[test]
fn help_is_success_and_wrong_usage_is_2() {
    let workplace = Workplace::new();
    for arguments in [&["--help"][..], &["help", "import"], &["purge", "start", "--help"], &["--version"], &["version"]] {
        let done = workplace.run(arguments);
        assert_eq!(done.code, Some(0), "{arguments:?}: {done:?}");
        assert!(!done.stdout.is_empty() && done.stderr.is_empty(), "{arguments:?}: {done:?}");
    }
    for arguments in [
        &[][..],
        &["purg"],
        &["serve", "--lissen", "x"],
        &["import", "--user", "1"],
        &["import", "x.ndjson"],
        &["client", "add", "x", "--auth", "none"],
        &["purge", "list"],
        &["purge", "list", "--token", "x", "--client-id", "y"],
        &["version", "--log", "=="],
        &["purge", "status", "not-a-uuid", "--token", "x"],
        &["client", "list", "--database-url", "postgres://localhost/lethe"],
    ] {
        let done = workplace.run(arguments);
        assert_eq!(done.code, Some(2), "{arguments:?}: {done:?}");
        assert!(done.stdout.is_empty() && !done.stderr.is_empty(), "{arguments:?}: {done:?}");
    }
}

#[test]
fn what_is_not_available_says_so_and_touches_nothing() {
    let workplace = Workplace::new();
    let done = workplace.run(&["serve", "--database-url", "postgres://localhost/lethe", "--listen", "127.0.0.1:0"]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.stderr.contains("not available in this version"), "{done:?}");
    assert!(!workplace.path("lethe-data").exists());
}

#[test]
fn the_command_line_wins_over_the_environment_over_the_file_over_the_default() {
    let cases = [
        (None, None, None, "lethe-data"),
        (None, None, Some("data = \"from-file\""), "from-file"),
        (None, Some("from-environment"), Some("data = \"from-file\""), "from-environment"),
        (Some("from-flag"), Some("from-environment"), Some("data = \"from-file\""), "from-flag"),
    ];
    for (flag, environment, file, expected) in cases {
        let workplace = Workplace::new();
        if let Some(file) = file {
            workplace.write("lethe.toml", file);
        }
        let mut command = workplace.lethe(&["migrate"]);
        command.args(flag.iter().flat_map(|data| ["--data", data])).envs(environment.iter().map(|data| ("LETHE_DATA", data)));
        let done = Done::from(command.output().unwrap());
        assert_eq!(done.code, Some(0), "{expected}: {done:?}");
        for directory in ["lethe-data", "from-file", "from-environment", "from-flag"] {
            assert_eq!(workplace.path(directory).exists(), directory == expected, "{directory}, expected {expected}");
        }
    }
}

#[test]
fn flags_and_required_options_may_stand_in_the_file() {
    let workplace = Workplace::new();
    let (client_id, _, _) = workplace.add_user();
    workplace.write("elsewhere.toml", format!("client = \"{client_id}\"\njson = true\n"));
    let users = workplace.json(&["--config", "elsewhere.toml", "user", "list"]);
    assert_eq!(users[0]["app_user_id"], "alice");
}

#[test]
fn a_flag_may_be_set_by_the_environment_in_the_usual_words_only() {
    let workplace = Workplace::new();
    let version = |value: &str| Done::from(workplace.lethe(&["version"]).env("LETHE_JSON", value).output().unwrap());
    assert!(version("1").stdout.starts_with('{') && version("true").stdout.starts_with('{'));
    assert!(version("0").stdout.starts_with("lethe "));
    assert_eq!(version("ture").code, Some(2));
}

#[test]
fn a_misspelt_key_is_refused_with_the_nearest_one_but_help_still_works() {
    let workplace = Workplace::new();
    workplace.write("lethe.toml", "lisen = \"127.0.0.1:0\"");
    let done = workplace.run(&["serve"]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.stderr.contains("lethe.toml") && done.stderr.contains("'lisen'") && done.stderr.contains("'listen'"), "{done:?}");
    assert!(!workplace.path("lethe-data").exists());
    assert_eq!(workplace.run(&["serve", "--help"]).code, Some(0));
    let done = workplace.run(&["--config", "missing.toml", "version"]);
    assert_eq!(done.code, Some(2), "{done:?}");
}

#[test]
fn help_shows_no_value_of_the_environment() {
    let workplace = Workplace::new();
    let done = Done::from(workplace.lethe(&["purge", "list", "--help"]).env("LETHE_TOKEN", "s3cret").output().unwrap());
    assert!(done.stdout.contains("LETHE_TOKEN") && !done.stdout.contains("s3cret"), "{done:?}");
}

#[test]
fn a_lost_key_file_is_replaced_with_a_warning_once_clients_exist() {
    let workplace = Workplace::new();
    let first = workplace.run(&["client", "add", "Test"]);
    assert!(!first.stderr.contains("warning"), "{first:?}");
    std::fs::remove_file(workplace.path("lethe-data/secret.key")).unwrap();
    let warned = workplace.run(&["client", "list"]);
    assert!(warned.code == Some(0) && warned.stderr.contains("secret.key"), "{warned:?}");
    assert!(!workplace.run(&["client", "list"]).stderr.contains("warning"));
}

#[test]
fn clients_and_users_are_managed_and_secrets_shown_once() {
    let workplace = Workplace::new();
    let (client_id, secret, user_id) = workplace.add_user();
    let listed = workplace.run(&["client", "list", "--json"]).stdout;
    assert!(listed.contains(&client_id) && !listed.contains(&secret), "{listed}");
    let rotated = workplace.json(&["client", "rotate", &client_id, "--json"]);
    assert_ne!(rotated["client_secret"], secret.as_str());
    workplace.json(&["client", "disable", &client_id, "--json"]);
    assert_eq!(workplace.json(&["client", "list", "--json"])[0]["active"], false);
    workplace.json(&["user", "disable", &user_id, "--json"]);
    assert_eq!(workplace.json(&["user", "list", "--client", &client_id, "--json"])[0]["active"], false);
    for unknown in [&["client", "disable", "nobody"][..], &["user", "token", "99"], &["user", "add", "--client", "nobody", "x"]] {
        let done = workplace.run(unknown);
        assert_eq!(done.code, Some(1), "{unknown:?}: {done:?}");
        assert!(done.stderr.contains("there is no") && done.stderr.contains("next:"), "{done:?}");
    }
    let again = workplace.run(&["user", "add", "--client", &client_id, "alice"]);
    assert!(again.code == Some(1) && again.stderr.contains("already has a user 'alice'"), "{again:?}");
}
