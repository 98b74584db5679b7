//! What inputs are made from: requests, one a line of a file in `corpus/`, and words of the protocol.

/// Requests and words of a protocol.
#[derive(Clone, Debug, Default)]
pub struct Corpus {
    pub requests: Vec<Vec<u8>>,
    pub words: Vec<Vec<u8>>,
}

impl Corpus {
    fn new(requests: &str, words: &[&str]) -> Corpus {
        Corpus {
            requests: requests.lines().map(unescape).collect(),
            words: words.iter().map(|word| unescape(word)).collect(),
        }
    }
}

/// The bytes of a line as `escape_ascii` writes it.
fn unescape(line: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(u8::try_from(char).unwrap());
            continue;
        }
        out.push(match chars.next().unwrap() {
            'r' => b'\r',
            'n' => b'\n',
            't' => b'\t',
            'x' => {
                let digits: String = chars.by_ref().take(2).collect();
                u8::from_str_radix(&digits, 16).unwrap()
            }
            other => u8::try_from(other).unwrap(),
        });
    }
    out
}

pub fn tyrant() -> Corpus {
    let words = [
        r"\xc8",
        r"\xc8\x10",
        r"\xc8\x11",
        r"\xc8\x12",
        r"\xc8\x13",
        r"\xc8\x18",
        r"\xc8\x20",
        r"\xc8\x30",
        r"\xc8\x31",
        r"\xc8\x38",
        r"\xc8\x50",
        r"\xc8\x51",
        r"\xc8\x58",
        r"\xc8\x60",
        r"\xc8\x61",
        r"\xc8\x68",
        r"\xc8\x70",
        r"\xc8\x72",
        r"\xc8\x73",
        r"\xc8\x80",
        r"\xc8\x90",
        r"\xc8\xa0",
        r"\x00\x00\x00\x00",
        r"\x00\x00\x00\x01",
        r"\xff\xff\xff\xff",
        "putlist",
    ];
    Corpus::new(include_str!("../corpus/tyrant.txt"), &words)
}

pub fn tycoon() -> Corpus {
    let words = [
        r"\xb4",
        r"\xb8",
        r"\xb9",
        r"\xba",
        r"\xb8\x00\x00\x00\x00",
        r"\xb8\x00\x00\x00\x01",
        r"\x00\x00\x00\x00",
        r"\x00\x00\x00\x01",
        r"\x00\x00\x00\x02",
        r"\xff\xff\xff\xff",
        r"\x7f\xff\xff\xff\xff\xff\xff\xff",
        r"\x00\x00",
    ];
    Corpus::new(include_str!("../corpus/tycoon.txt"), &words)
}

pub fn memcached() -> Corpus {
    let words = [
        "get ",
        "gets ",
        "gat 0 ",
        "set ",
        "add ",
        "replace ",
        "append ",
        "prepend ",
        "cas ",
        "incr ",
        "decr ",
        "delete ",
        "touch ",
        "flush_all",
        "stats ",
        "verbosity 1",
        "quit",
        " noreply",
        r"\r\n",
        r"\n",
        r"\r",
        " ",
        " 0 0 ",
        " 0 0 1",
        "lru_crawler metadump all",
        "stats cachedump 1 0",
        "stats detail ",
    ];
    Corpus::new(include_str!("../corpus/memcached.txt"), &words)
}

pub fn http() -> Corpus {
    let words = [
        "GET ",
        "HEAD ",
        "PUT ",
        "POST ",
        "DELETE ",
        "OPTIONS ",
        " HTTP/1.1",
        " HTTP/1.0",
        r"\r\n",
        r"\r\n\r\n",
        "Content-Length: ",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Expect: 100-continue\r\n",
        "Connection: close\r\n",
        "Connection: keep-alive\r\n",
        "Host: a\r\n",
        r"0\r\n\r\n",
        r"5\r\nhello\r\n",
        "ffffffff",
        "X-TT-PDMODE: 1\r\n",
        "X-Kt-Mode: set\r\n",
        "X-Kt-Xt: ",
        "/rpc/",
        "%2f",
        "%",
        "http://a/",
        "Content-Type: text/tab-separated-values\r\n",
        r"Origin: http://evil\r\n",
        ";x=y",
        r"\x00",
        " ",
        r"\t",
    ];
    Corpus::new(include_str!("../corpus/http.txt"), &words)
}

/// Procedures called over HTTP.
pub fn calls() -> Corpus {
    let words = [
        "/rpc/set",
        "/rpc/get",
        "/rpc/add",
        "/rpc/cas",
        "/rpc/increment",
        "/rpc/increment_double",
        "/rpc/match_prefix",
        "/rpc/set_bulk",
        "/rpc/get_bulk",
        "/rpc/seize",
        r"key\t",
        r"value\t",
        r"xt\t",
        r"num\t1\n",
        r"orig\t0\n",
        r"atomic\t\n",
        r"DB\t1\n",
        r"_a\tb\n",
        r"WAIT\t1\n",
        r"\t",
        r"\n",
        "?DB=default",
        "&key=a",
        "colenc=B",
        "colenc=Q",
        "colenc=U",
        "%41",
        "=41",
        "YWJj",
        "Content-Type: text/tab-separated-values",
        "Content-Type: application/x-www-form-urlencoded",
        r"\r\n",
        "Content-Length: 0",
    ];
    Corpus::new(include_str!("../corpus/calls.txt"), &words)
}

pub fn resp() -> Corpus {
    let words = [
        r"*1\r\n",
        r"*2\r\n",
        r"*3\r\n",
        r"*-1\r\n",
        r"*0\r\n",
        r"$0\r\n\r\n",
        r"$-1\r\n",
        r"$1\r\na\r\n",
        r"$3\r\nGET\r\n",
        r"$3\r\nSET\r\n",
        r"$4\r\nMGET\r\n",
        r"$4\r\nSCAN\r\n",
        r"\r\n",
        "*",
        "$",
        "EX",
        "PX",
        "NX",
        "XX",
        "GT",
        "LT",
        "KEEPTTL",
        "MATCH",
        "COUNT",
        "LIMIT",
        "WITHVALUES",
        "\"",
        "'",
        r"\\x",
        "HELLO 3\r\n",
        "RESET\r\n",
        "SELECT 3\r\n",
        "MULTI\r\n",
        "EXEC\r\n",
        "QUIT\r\n",
    ];
    Corpus::new(include_str!("../corpus/resp.txt"), &words)
}

/// Everything that one port takes.
pub fn all() -> Corpus {
    let mut all = Corpus::default();
    for corpus in [tyrant(), tycoon(), memcached(), http(), calls(), resp()] {
        all.requests.extend(corpus.requests);
        all.words.extend(corpus.words);
    }
    all
}
