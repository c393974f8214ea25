//! The command line as such: exit status, and where options come from.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;

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
        &["client", "list", "--database-url", "localhost/lethe"],
    ] {
        let done = workplace.run(arguments);
        assert_eq!(done.code, Some(2), "{arguments:?}: {done:?}");
        assert!(done.stdout.is_empty() && !done.stderr.is_empty(), "{arguments:?}: {done:?}");
    }
}

#[test]
fn a_wrong_value_is_answered_with_what_is_expected() {
    let workplace = Workplace::new();
    for (arguments, expected) in [
        (&["import", "--user", "abc", "x.ndjson"][..], "a whole number"),
        (&["export", "--user", "abc", "out"], "a whole number"),
        (&["user", "token", "abc"], "a whole number"),
        (&["purge", "list", "--client-id", "x", "--client-secret", "y", "--user", "abc"], "or 'client' for all users"),
        (&["purge", "list", "--client-id", "x", "--client-secret", "y"], "--user client"),
        (&["purge", "list", "--token", "x", "--server", "foo"], "http://HOST:PORT"),
        (&["purge", "list", "--token", "x", "--server", "http://"], "http://HOST:PORT"),
        (&["purge", "list", "--token", "x\ny"], "no HTTP header can carry"),
        (&["client", "add", ""], "at least one visible character"),
        (&["client", "add", " "], "at least one visible character"),
        (&["user", "add", "--client", "x", ""], "at least one visible character"),
    ] {
        let done = workplace.run(arguments);
        assert_eq!(done.code, Some(2), "{arguments:?}: {done:?}");
        assert!(done.stderr.contains(expected), "{arguments:?}: {done:?}");
        assert!(!done.stderr.contains("invalid digit") && !done.stderr.contains("builder error"), "{arguments:?}: {done:?}");
    }
    assert!(!workplace.path("lethe-data").exists());
}

#[test]
fn a_damaged_database_is_told_with_what_to_do() {
    let workplace = Workplace::new();
    workplace.write("not-one/lethe.db", "this is no database, whatever its name says; ".repeat(200));
    // From a page that is read when the store is opened, and from a later one.
    for (data, first_page) in [("torn-early", 1), ("torn-late", 6)] {
        workplace.json(&["client", "add", "Test", "--json", "--data", data]);
        let path = format!("{data}/lethe.db");
        let mut bytes = fs::read(workplace.path(&path)).unwrap();
        bytes[first_page * 4096..].fill(0xA5);
        workplace.write(&path, bytes);
    }
    for data in ["not-one", "torn-early", "torn-late"] {
        for command in [&["check"][..], &["client", "list"]] {
            let done = workplace.run(&[command, &["--data", data]].concat());
            assert_eq!(done.code, Some(1), "{command:?} {data}: {done:?}");
            assert!(done.stderr.contains("next: ") && done.stderr.contains("backup"), "{command:?} {data}: {done:?}");
        }
    }
}

#[test]
fn a_database_that_cannot_be_used_is_told_without_its_password() {
    let workplace = Workplace::new();
    // Nobody listens on port 1.
    for (url, code, expected) in [
        ("postgres://me:hunter2@127.0.0.1:1/lethe", 1, "postgres://me@127.0.0.1:1/lethe cannot be reached"),
        ("postgres://me:hunter2@127.0.0.1:port/lethe", 2, "postgres://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("mysql://me:hunter2@127.0.0.1/lethe", 2, "must begin with postgres://"),
        ("hunter2", 2, "must begin with postgres://"),
    ] {
        for command in [&["serve", "--listen", "127.0.0.1:0", "--log", "trace"][..], &["client", "list"], &["migrate"], &["check"]] {
            let given = [workplace.run(&[command, &["--database-url", url]].concat()), {
                let mut command = workplace.lethe(command);
                command.env("LETHE_DATABASE_URL", url).output().unwrap().into()
            }];
            for done in given {
                assert!(done.code == Some(code) && done.stderr.contains(expected), "{command:?} {url}: {done:?}");
                assert!(!done.stderr.contains("hunter2"), "{command:?} {url}: {done:?}");
            }
        }
    }
    let both = workplace.run(&["client", "list", "--data", "x", "--database-url", "postgres://me:hunter2@h/d"]);
    assert!(both.code == Some(2) && both.stderr.contains("cannot be used with") && !both.stderr.contains("hunter2"), "{both:?}");
    let mut help = workplace.lethe(&["serve", "--help"]);
    let help: Done = help.env("LETHE_DATABASE_URL", "postgres://me:hunter2@h/d").output().unwrap().into();
    assert!(help.stdout.contains("LETHE_DATABASE_URL") && !help.stdout.contains("hunter2"), "{help:?}");
    let backup = workplace.run(&["backup", "b.db", "--database-url", "postgres://me:hunter2@127.0.0.1:1/d"]);
    assert!(backup.code == Some(1) && backup.stderr.contains("pg_dump"), "{backup:?}");
    let restore = workplace.run(&["restore", "b.db", "--database-url", "postgres://me:hunter2@127.0.0.1:1/d"]);
    assert!(restore.code == Some(1) && restore.stderr.contains("pg_restore") && restore.stderr.contains("--reapply"), "{restore:?}");
    assert!(!workplace.path("lethe-data").exists() && !workplace.path("lethe-keys").exists());
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
fn a_variable_that_no_option_has_is_told_with_the_nearest_one_and_stops_nothing() {
    let workplace = Workplace::new();
    let with = |name: &str| Done::from(workplace.lethe(&["version"]).env(name, "s3cret").output().unwrap());
    for (misspelt, meant) in [("LETHE_LISEN", "LETHE_LISTEN"), ("LETHE_DATABASEURL", "LETHE_DATABASE_URL"), ("LETHE_CONFG", "LETHE_CONFIG")]
    {
        let done = with(misspelt);
        let line = done.stderr.lines().find(|line| line.contains("WARN")).unwrap_or_else(|| panic!("{done:?}"));
        assert!(line.contains(&format!("has {misspelt},")) && line.contains(&format!("did you mean {meant}?")), "{done:?}");
        assert!(done.code == Some(0) && done.stdout.starts_with("lethe ") && !done.stderr.contains("s3cret"), "{done:?}");
    }
    // Those of options, also of other commands, and those that are not the binary's.
    for known in ["LETHE_LISTEN", "LETHE_CLIENT_SECRET", "LETHE_TEST_KILLS", "LETHE_SUITE_SEED", "LETHE_BENCH_X", "OTHER_LISEN"] {
        assert_eq!(with(known).stderr, "", "{known}");
    }
}

#[test]
fn help_shows_no_value_of_the_environment() {
    let workplace = Workplace::new();
    let done = Done::from(workplace.lethe(&["purge", "list", "--help"]).env("LETHE_TOKEN", "s3cret").output().unwrap());
    assert!(done.stdout.contains("LETHE_TOKEN") && !done.stdout.contains("s3cret"), "{done:?}");
}

#[test]
fn a_lost_key_file_is_missed_where_it_is_needed_and_replaced_with_a_warning() {
    let workplace = Workplace::new();
    let first = workplace.run(&["client", "add", "Test"]);
    assert!(!first.stderr.contains("warning"), "{first:?}");
    fs::remove_file(workplace.path("lethe-data/secret.key")).unwrap();
    let looked = workplace.run(&["client", "list"]);
    assert!(looked.code == Some(0) && looked.stderr.is_empty(), "{looked:?}");
    let client_id = workplace.json(&["client", "list", "--json"])[0]["client_id"].as_str().unwrap().to_owned();
    let rotated = workplace.run(&["client", "rotate", &client_id]);
    assert!(rotated.code == Some(1) && rotated.stderr.contains("there is no secret.key"), "{rotated:?}");
    assert!(rotated.stderr.contains("next:") && !workplace.path("lethe-data/secret.key").exists(), "{rotated:?}");
    let warned = workplace.run(&["client", "add", "Second"]);
    assert!(warned.code == Some(0) && warned.stderr.contains("the key file of this store was missing"), "{warned:?}");
    assert_eq!(workplace.run(&["client", "rotate", &client_id]).code, Some(0));
    assert!(!workplace.run(&["client", "add", "Third"]).stderr.contains("warning"));
}

#[test]
fn what_works_on_a_store_makes_none() {
    let workplace = Workplace::new();
    workplace.write("a.ndjson", r#"{"resourceType":"Patient","id":"p1"}"#);
    for arguments in [
        &["check"][..],
        &["check", "--residue", "01890000-0000-7000-8000-000000000000"],
        &["client", "list"],
        &["client", "disable", "x"],
        &["client", "enable", "x"],
        &["client", "rotate", "x"],
        &["user", "add", "--client", "x", "alice"],
        &["user", "list", "--client", "x"],
        &["user", "disable", "1"],
        &["user", "enable", "1"],
        &["user", "token", "1"],
        &["import", "--user", "1", "a.ndjson"],
        &["export", "--user", "1", "out"],
    ] {
        for data in ["missing", "empty"] {
            fs::create_dir_all(workplace.path("empty")).unwrap();
            let done = workplace.run(&[arguments, &["--data", data]].concat());
            assert_eq!(done.code, Some(1), "{arguments:?}: {done:?}");
            assert!(done.stderr.contains(&format!("there is no store in {data}")) && done.stderr.contains("next:"), "{done:?}");
            assert!(done.stdout.is_empty() && !workplace.path("missing").exists() && !workplace.path("out").exists(), "{arguments:?}");
            assert_eq!(fs::read_dir(workplace.path("empty")).unwrap().count(), 0, "{arguments:?}");
        }
    }
    for arguments in [&["client", "add", "x"][..], &["migrate"]] {
        assert_eq!(workplace.run(&[arguments, &["--data", "made"]].concat()).code, Some(0), "the control");
        fs::remove_dir_all(workplace.path("made")).unwrap();
    }
}

/// The part behind `Next: `, as it would be pasted.
fn next_of(done: &Done) -> String {
    done.stderr.split("Next: ").nth(1).unwrap_or_else(|| panic!("{done:?}")).trim().to_owned()
}

#[test]
fn what_to_do_next_works_when_it_is_pasted() {
    let workplace = Workplace::new();
    let added = workplace.run(&["client", "add", "Test", "--data", "my store"]);
    let next = next_of(&added);
    assert!(next.ends_with("APP_USER_ID --data 'my store'"), "{next}");
    let client_id = next.split_whitespace().nth(4).unwrap();
    let added = workplace.run(&["user", "add", "--client", client_id, "alice", "--data", "my store"]);
    assert_eq!(next_of(&added), "lethe user token 1 --data 'my store'");
    let unknown = workplace.run(&["client", "disable", "nobody", "--data", "my store"]);
    assert!(unknown.stderr.contains("next: lethe client list --data 'my store' shows"), "{unknown:?}");
    assert!(next_of(&workplace.run(&["client", "add", "Test"])).ends_with("APP_USER_ID"), "the default is not repeated");
}

#[test]
fn a_token_that_the_server_will_refuse_comes_with_a_warning() {
    let workplace = Workplace::new();
    for (auth, is_warned) in [("headers", true), ("both", false), ("bearer", false)] {
        let client = workplace.json(&["client", "add", "Test", "--auth", auth, "--json"]);
        let user = workplace.json(&["user", "add", "--client", client["client_id"].as_str().unwrap(), "alice", "--json"]);
        let done = workplace.run(&["user", "token", &user["oneup_user_id"].to_string()]);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert_eq!(done.stderr.contains("registered for headers only"), is_warned, "{auth}: {done:?}");
    }
}

#[test]
fn a_hold_on_what_is_not_there_is_set_with_a_warning_and_on_dots_refused() {
    let workplace = Workplace::new();
    let (_, _, user) = workplace.add_user();
    workplace.write("in.ndjson", r#"{"resourceType":"Patient","id":"p"}"#);
    workplace.json(&["import", "--user", &user, "in.ndjson", "--json"]);
    for (what, code, said) in [
        (&["--account"][..], 0, ""),
        (&["--patient", "p"], 0, ""),
        (&["--patient", "nosuch"], 0, "warning: there is no Patient/nosuch in this account"),
        (&["--resource", "Observation/p"], 0, "warning: there is no Observation/p in this account"),
        (&["--patient", ".."], 2, "'..' is not a valid id"),
        (&["--resource", "Patient/."], 2, "'.' is not a valid id"),
    ] {
        let done = workplace.run(&[&["hold", "add", "--user", &user, "--reason", "r", "--by", "b"], what].concat());
        assert_eq!(done.code, Some(code), "{what:?}: {done:?}");
        assert!(done.stderr.contains(said) && done.stderr.is_empty() == said.is_empty(), "{what:?}: {done:?}");
    }
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
