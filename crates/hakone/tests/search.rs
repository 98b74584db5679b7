//! Searches: keys by pattern and by likeness to a word, in pages that visit a bounded number of
//! records each and go on where the last one ended.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use hakone::matching::Similar;
use hakone::{
    Cabinet, Command, Database, DatabaseOptions, Direction, Error, Filter, Kind, Next, Options,
    Position, Range, Reply, now,
};

/// So many records are visited for one page at the most, and a few that were pushed.
const PAGE_VISITS_MAX: usize = 2 * 4096;

const RECORDS: usize = 30_000;

fn words() -> Vec<Vec<u8>> {
    let syllables = ["ha", "ko", "ne", "to", "kyo", "ta", "ka", "ra", "zu"];
    (0..RECORDS)
        .map(|i| {
            let pick = |n: usize| syllables[(i / n * 7 + n) % syllables.len()];
            format!("{}{}{}-{i}", pick(1), pick(9), pick(81)).into_bytes()
        })
        .collect()
}

/// All pages of a search: the keys, and how many pages there were.
fn search(database: &Database, range: Range<'_>, filter: Filter<'_>) -> (Vec<Vec<u8>>, usize) {
    let (mut found, mut pages) = (Vec::new(), 0);
    let (mut cursor, mut resume) = (None, None::<Vec<u8>>);
    loop {
        let command = Command::Scan {
            from: match (cursor, &resume) {
                (Some(cursor), _) => Position::Cursor(cursor),
                (None, Some(position)) => Position::Resume(position),
                (None, None) => Position::Start,
            },
            range,
            direction: Direction::Forward,
            filter,
            limit: 50,
            values: false,
        };
        let (mut next, mut position) = (Next::End, None);
        let answer = &mut |reply: Reply<'_>| {
            let Reply::Page(page) = reply else {
                panic!("{reply:?}")
            };
            found.extend(page.iter().map(|(key, _)| key.to_vec()));
            next = page.next;
            position = page.resume().map(<[u8]>::to_vec);
        };
        database.call(&command, now(), answer).unwrap();
        resume = position;
        pages += 1;
        match next {
            Next::Cursor(place) => cursor = Some(place),
            Next::Resume => {}
            Next::End => break,
        }
    }
    found.sort();
    (found, pages)
}

#[test]
fn searches_find_what_looking_at_every_key_finds_a_bounded_page_at_a_time() {
    let directory = std::env::temp_dir().join(format!("hakone-search-{}", std::process::id()));
    let cabinet = Cabinet::open(&directory, Options::default()).unwrap();
    let mut words = words();
    for kind in [Kind::Hash, Kind::Tree] {
        let database = cabinet
            .create(kind.name(), DatabaseOptions::new(kind))
            .unwrap();
        for word in &words {
            database.put(word, b"v").unwrap();
        }
        words.sort();
        let expect = |filter: Filter<'_>, prefix: &[u8], takes: &mut dyn FnMut(&[u8]) -> bool| {
            let expected: Vec<_> = words
                .iter()
                .filter(|word| word.starts_with(prefix) && takes(word))
                .cloned()
                .collect();
            let (found, pages) = search(&database, Range::Prefix(prefix), filter);
            assert_eq!(found, expected, "{filter:?}");
            // Had a page visited all records, few pages would do.
            let visited = words.iter().filter(|word| word.starts_with(prefix)).count();
            assert!(pages >= visited / PAGE_VISITS_MAX, "{pages} pages");
            expected.len()
        };
        let count = expect(Filter::Regex(b"^(ha|ko)+-[0-9]*7$"), b"", &mut |word| {
            let text = std::str::from_utf8(word).unwrap();
            let (head, number) = text.split_once('-').unwrap();
            let bare = head.replace("ha", "").replace("ko", "");
            bare.is_empty() && number.ends_with('7')
        });
        assert!(count > 10, "{count}");
        for utf8 in [false, true] {
            let to = "hakon\u{e9}to-12".as_bytes();
            let mut similar = Similar::new(to, 7, utf8);
            let filter = Filter::Similar {
                to,
                distance: 7,
                utf8,
            };
            let count = expect(filter, b"", &mut |word| similar.distance(word).is_some());
            assert!(count > 10, "{count}");
        }
        let none = expect(Filter::Regex(b"nothing"), b"", &mut |_| false);
        assert_eq!(none, 0);
        expect(Filter::Regex(b"99$"), b"kyo", &mut |word| {
            word.ends_with(b"99")
        });
        let bad = Command::Scan {
            from: Position::Start,
            range: Range::All,
            direction: Direction::Forward,
            filter: Filter::Regex(b"(a"),
            limit: 1,
            values: false,
        };
        let refused = database.call(&bad, now(), &mut |_| panic!("answered"));
        assert!(matches!(refused, Err(Error::Invalid(why)) if why.contains("\"(a\"")));
    }
    cabinet.close().unwrap();
    std::fs::remove_dir_all(directory).unwrap();
}
