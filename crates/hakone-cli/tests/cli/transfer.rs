//! Import and export: nothing is lost between a server, a file and a cabinet at rest.

use crate::support::{Folder, HAKONE, Place, lines, run};
use std::fmt::Write as _;
use std::fs::Permissions;
use std::io::{Read, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

/// Lines of TSV with every byte in keys and values, expiry and flags, in key order.
fn tricky_lines() -> String {
    let mut lines = String::new();
    for byte in 0..=255_u8 {
        // Written by hand, so that it is not the exporter that says what is right.
        let shown = match byte {
            b'\t' => "\\t".to_owned(),
            b'\n' => "\\n".to_owned(),
            b'\r' => "\\r".to_owned(),
            b'\\' => "\\\\".to_owned(),
            b' '..=b'~' => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        };
        write!(lines, "{shown}key\tvalue{shown}").unwrap();
        match byte % 4 {
            0 => lines.push('\n'),
            1 => lines.push_str("\t4102444800000\n"),
            2 => lines.push_str("\t0\t4294967295\n"),
            _ => lines.push_str("\t4102444800001\t7\n"),
        }
    }
    lines
}

#[test]
fn export_and_import_lose_nothing() {
    let lines = tricky_lines();
    let [at_rest, server] = Place::both();
    at_rest.feed(&["import"], lines.as_bytes()).with(0);
    for format in ["tsv", "jsonl"] {
        let exported = at_rest.run(&["export", "--format", format]).with(0);
        server
            .feed(&["import", "--format", format], &exported.out)
            .with(0);
        let again = server.run(&["export", "--format", format]).with(0);
        assert!(again.out == exported.out, "{format}");
        let back = Place::at_rest();
        back.feed(&["import", "--format", format], &again.out)
            .with(0);
        let exported = back.run(&["export"]).with(0);
        assert_eq!(exported.text(), lines, "{format}");
        assert!(
            exported.error.starts_with("exported 256 records in "),
            "{}",
            exported.error
        );
    }
}

#[test]
fn a_file_name_tells_the_format() {
    for place in Place::both() {
        let jsonl = place.folder().write(
            "records.jsonl",
            "{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":\"2\"}",
        );
        let imported = place.run(&["import", &jsonl]).with(0);
        assert_eq!(imported.text(), "");
        assert!(
            imported.error.starts_with("imported 2 records in "),
            "{}",
            imported.error
        );
        let tsv = place.folder().join("records.tsv");
        place.run(&["export", "--prefix", "b", &tsv]).with(0);
        assert_eq!(place.folder().read("records.tsv"), b"b\t2\n");
    }
}

#[test]
fn a_bad_line_stops_an_import_unless_errors_are_skipped() {
    for place in Place::both() {
        let file = place
            .folder()
            .write("bad.tsv", "a\t1\n\nbad\nb\t2\nc\t\\q\n");
        let stopped = place.run(&["import", &file]).with(2);
        assert_eq!(
            stopped.error,
            format!(
                "hakone: {file}, line 3: no tab between key and value (1 records before it are \
                 written; --skip-errors goes on)\n"
            )
        );
        assert_eq!(place.run(&["scan"]).with(0).text(), "a\t1\n");

        let skipped = place.run(&["import", "--skip-errors", &file]).with(0);
        let said: Vec<&str> = skipped.error.lines().collect();
        assert_eq!(
            said[0],
            format!("hakone: {file}, line 3: no tab between key and value")
        );
        assert!(said[1].contains("line 5: unknown escape"), "{}", said[1]);
        assert!(said[2].starts_with("imported 2 records in "), "{}", said[2]);
        assert!(
            said[2].ends_with("records/s, 2 lines skipped"),
            "{}",
            said[2]
        );
        assert_eq!(place.run(&["scan"]).with(0).text(), "a\t1\nb\t2\n");
    }
}

#[test]
fn many_bad_lines_are_counted_not_told() {
    let place = Place::at_rest();
    let skipped = place
        .feed(&["import", "--skip-errors"], &b"bad\n".repeat(1000))
        .with(0);
    assert_eq!(skipped.error.lines().count(), 11);
    assert!(
        skipped.error.contains("standard input, line 10: "),
        "{}",
        skipped.error
    );
    assert!(
        skipped.error.ends_with(", 1000 lines skipped\n"),
        "{}",
        skipped.error
    );
}

#[test]
fn files_that_cannot_be_read_or_written_are_told() {
    let place = Place::at_rest();
    let none = place.folder().join("none/file");
    let import = place.run(&["import", &none]).with(2);
    assert!(
        import
            .error
            .starts_with(&format!("hakone: cannot read {none}: ")),
        "{}",
        import.error
    );
    assert!(
        !place.folder().path().join("data").exists(),
        "nothing is made for nothing"
    );
    place.run(&["set", "k", "v"]).with(0);
    let export = place.run(&["export", &none]).with(2);
    assert!(
        export
            .error
            .starts_with(&format!("hakone: cannot write {none}: ")),
        "{}",
        export.error
    );
}

/// A Redis that lists two records, gives one, and is gone.
fn breaks_off() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let answers =
            b":-2\r\n:2\r\n*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\n1\r\n:-1\r\n";
        stream.write_all(answers).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // What is asked is read, so that closing does not reset the connection.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    format!("redis://{address}")
}

#[test]
fn a_failed_export_leaves_the_old_file_and_nothing_beside_it() {
    let folder = Folder::new();
    let file = folder.write("old.tsv", "old\t1\n");
    let url = breaks_off();
    let failed = run(
        Command::new(HAKONE).args(["export", "--server", &url, &file]),
        b"",
    )
    .with(2);
    assert!(
        failed.error.contains("closed the connection"),
        "{}",
        failed.error
    );
    assert_eq!(folder.read("old.tsv"), b"old\t1\n");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_killed_export_leaves_the_old_file_and_nothing_beside_it() {
    let folder = Folder::new();
    let file = folder.write("old.tsv", "old\t1\n");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let mut export = Command::new(HAKONE)
        .args(["export", "--server", &url, &file])
        .spawn()
        .unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(b":-2\r\n:2\r\n").unwrap();
    // It has begun to write once it asks for keys, and waits for them.
    let mut asked = Vec::new();
    while !asked.ends_with(b"1000\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        asked.extend_from_slice(&byte);
    }
    export.kill().unwrap();
    export.wait().unwrap();
    assert_eq!(folder.read("old.tsv"), b"old\t1\n");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_failed_import_keeps_and_counts_what_came_before() {
    let place = Place::at_rest();
    let failed = place.run(&["import", &breaks_off()]).with(2);
    assert!(
        failed.error.ends_with(
            " closed the connection before it answered (1 records before it are written)\n"
        ),
        "{}",
        failed.error
    );
    assert_eq!(place.run(&["scan"]).with(0).text(), "a\t1\n");
}

#[test]
fn an_export_replaces_a_file_and_keeps_its_mode_and_links_to_it() {
    let place = Place::at_rest();
    place.run(&["set", "k", "v"]).with(0);
    let folder = place.folder();
    let file = folder.write("old.tsv", "old\t1\n");
    let mode = Permissions::from_mode(0o640);
    std::fs::set_permissions(&file, mode.clone()).unwrap();
    let link = folder.join("link.tsv");
    symlink("old.tsv", &link).unwrap();
    place.run(&["export", &link]).with(0);
    assert_eq!(folder.read("old.tsv"), b"k\tv\n");
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    let kept = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(kept & 0o777, mode.mode());
    // A new file is as other programs make it.
    place.run(&["export", &folder.join("new.tsv")]).with(0);
    folder.write("other", "");
    let mode = |name: &str| {
        let metadata = std::fs::metadata(folder.join(name)).unwrap();
        metadata.permissions().mode()
    };
    assert_eq!(mode("new.tsv"), mode("other"));
    // What is no file is written as it is.
    let straight = place.run(&["export", "/dev/stdout"]).with(0);
    assert_eq!(straight.text(), "k\tv\n");
}

#[test]
fn many_records_pass_a_server_in_batches() {
    let lines = lines(20_000);
    let server = Place::server(&["default=tree"]);
    let imported = server.feed(&["import"], lines.as_bytes()).with(0);
    assert!(
        imported.error.starts_with("imported 20000 records in "),
        "{}",
        imported.error
    );
    assert!(server.run(&["export"]).with(0).text() == lines);
}
